// What the status line says after each step: loss, speed and time left.
import { stripVTControlCharacters } from "node:util";
import type { StepEvent } from "@tunesmith/sdk";
import pc from "picocolors";
import { duration, significant } from "./format.ts";

/** Share of the old mean that a new loss leaves in the shown one; bias-corrected, so the first losses count in full. */
const smoothing = 0.9;
/** Steps that the shown speed looks back. */
const window = 20;

/** Places of the fields that a narrow line goes without, in this order: epoch, norm, rate, speed, loss. */
const leastNeeded = [1, 4, 3, 5, 2];

/** The fields in one line of at most so many visible characters, as far as leaving some out can do that. */
function joinedWithin(fields: readonly string[], width: number): string {
  const gone = new Set<number>();
  const joined = () => fields.filter((_, place) => !gone.has(place)).join("  ");
  for (const place of leastNeeded) {
    if (stripVTControlCharacters(joined()).length <= width) break;
    gone.add(place);
  }
  return joined();
}

/** What a status line says after each step. */
export class Progress {
  readonly losses: number[] = [];
  #ema = 0;
  #weight = 0;
  /** Time and tokens at the end of the last steps. */
  #marks: { time: number; step: number; tokens: number }[] = [];
  #tokens = 0;

  /** Takes a step in. `now` in milliseconds. */
  add(event: StepEvent, now: number): void {
    // The first step also warms up; it only starts the clock.
    this.losses.push(event.loss);
    if (Number.isFinite(event.loss)) {
      this.#ema = smoothing * this.#ema + (1 - smoothing) * event.loss;
      this.#weight = smoothing * this.#weight + (1 - smoothing);
    }
    this.#tokens += event.tokens;
    this.#marks.push({ time: now, step: event.step, tokens: this.#tokens });
    if (this.#marks.length > window) this.#marks.shift();
  }

  /**
   * `step 12/80  epoch 0.30  loss 1.234  lr 0.0009  grad 2.3  382 tok/s  ETA 1:32`. Where that is wider than `width` characters, fields
   * are left out, the least needed first; step and time left stay.
   */
  line(
    { step, totalSteps, epoch, learningRate, gradNorm, tokens, seconds }: StepEvent,
    width = Number.POSITIVE_INFINITY,
  ): string {
    const first = this.#marks[0];
    const last = this.#marks.at(-1);
    const elapsed = first === undefined || last === undefined ? 0 : (last.time - first.time) / 1000;
    // Wall time between steps, so that evaluations and checkpoints count; a single step has only its own time.
    const speed = elapsed > 0 && first && last ? (last.tokens - first.tokens) / elapsed : tokens / seconds;
    const perStep = elapsed > 0 && first && last ? elapsed / (last.step - first.step) : seconds;
    const loss = this.#weight > 0 ? this.#ema / this.#weight : Number.NaN;
    const fields = [
      `${pc.bold("step")} ${step}/${totalSteps}`,
      `epoch ${epoch.toFixed(2)}`,
      `${pc.bold("loss")} ${significant(loss)}`,
      `lr ${significant(learningRate, 3)}`,
      `grad ${significant(gradNorm, 3)}`,
      `${Math.round(speed)} tok/s`,
      `ETA ${duration((totalSteps - step) * perStep)}`,
    ];
    return joinedWithin(fields, width);
  }
}

// What the status line says after each step: loss, speed and time left.
import { stripVTControlCharacters } from "node:util";
import type { StepEvent } from "@tunesmith/sdk";
import pc from "picocolors";
import { bytes, duration, significant } from "./format.ts";

/** Share of the old mean that a new loss leaves in the shown one; bias-corrected, so the first losses count in full. */
const smoothing = 0.9;
/** Steps that the shown speed looks back. */
const window = 20;

/** Places of the fields that a narrow line goes without, in this order: epoch, norm, memory, rate, speed, pairs, loss. */
const leastNeeded = [1, 5, 7, 4, 6, 3, 2];

/** The fields in one line of at most so many visible characters, as far as leaving some out can do that. */
function joinedWithin(fields: readonly string[], width: number): string {
  const gone = new Set<number>();
  const joined = () => fields.filter((field, place) => field !== "" && !gone.has(place)).join("  ");
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
  /** Time and tokens at the end of the last steps, and the seconds of each. */
  #marks: { time: number; step: number; tokens: number; seconds: number }[] = [];
  #tokens = 0;
  /** The first step, which also warms up, and the seconds of those after it. */
  #first: { time: number; step: number } | null = null;
  #seconds = 0;

  /** Takes a step in. `now` in milliseconds. */
  add(event: StepEvent, now: number): void {
    if (this.#first === null) this.#first = { time: now, step: event.step };
    else this.#seconds += event.seconds;
    this.losses.push(event.loss);
    if (Number.isFinite(event.loss)) {
      this.#ema = smoothing * this.#ema + (1 - smoothing) * event.loss;
      this.#weight = smoothing * this.#weight + (1 - smoothing);
    }
    this.#tokens += event.tokens;
    this.#marks.push({ time: now, step: event.step, tokens: this.#tokens, seconds: event.seconds });
    if (this.#marks.length > window) this.#marks.shift();
  }

  /**
   * `step 12/80  epoch 0.30  loss 1.234  lr 0.0009  grad 2.3  382 tok/s  ETA 1:32 (14:05)`, on a GPU with the memory held there, now and at
   * its peak, and of pairs what the newest log line says of them. Where that is wider than `width` characters, fields are left out, the
   * least needed first; step and time left stay.
   */
  line(
    event: StepEvent,
    width = Number.POSITIVE_INFINITY,
    { onGpu = false, pairs = "", clock = new Date() }: { onGpu?: boolean; pairs?: string; clock?: Date } = {},
  ): string {
    const { step, totalSteps, epoch, learningRate, gradNorm, memory } = event;
    const loss = this.#weight > 0 ? this.#ema / this.#weight : Number.NaN;
    const left = (totalSteps - step) * this.#perStep(event);
    const finish = left === 0 ? "" : ` (${timeOfDay(new Date(clock.getTime() + 1000 * left), clock)})`;
    const fields = [
      `${pc.bold("step")} ${step}/${totalSteps}`,
      `epoch ${epoch.toFixed(2)}`,
      `${pc.bold("loss")} ${significant(loss)}`,
      pairs,
      `lr ${significant(learningRate, 3)}`,
      `grad ${significant(gradNorm, 3)}`,
      `${Math.round(this.#speed(event))} tok/s`,
      onGpu ? `mem ${bytes(memory.inUse)}, peak ${bytes(memory.peak)}` : "",
      `ETA ${duration(left)}${finish}`,
    ];
    return joinedWithin(fields, width);
  }

  /** Tokens a second of wall time between steps, so that evaluations and checkpoints count; a single step has only its own time. */
  #speed({ tokens, seconds }: StepEvent): number {
    const [first, last] = [this.#marks[0], this.#marks.at(-1)];
    const elapsed = first === undefined || last === undefined ? 0 : (last.time - first.time) / 1000;
    return elapsed > 0 && first && last ? (last.tokens - first.tokens) / elapsed : tokens / seconds;
  }

  /** Seconds that a step still takes: as the last ones, and what evaluations, answers and checkpoints have taken of the run so far, to each step its share. */
  #perStep({ step, seconds }: StepEvent): number {
    const own = this.#marks.filter((mark) => mark.step !== this.#first?.step);
    const last = this.#marks.at(-1);
    if (own.length === 0 || this.#first === null || last === undefined) return seconds;
    const others = (last.time - this.#first.time) / 1000 - this.#seconds;
    const mean = own.reduce((sum, mark) => sum + mark.seconds, 0) / own.length;
    return mean + Math.max(0, others) / (step - this.#first.step);
  }
}

/** `14:05`, of another day with its date: `12-24 14:05`. */
function timeOfDay(time: Date, now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}`;
  const isToday = time.toDateString() === now.toDateString();
  return isToday ? clock : `${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

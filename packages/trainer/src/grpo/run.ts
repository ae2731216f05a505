// A run of group relative policy optimization between its steps: generations, the entropy bonus, what was said.
import { heldText } from "../loop/hooks/call-hook.ts";
import type { MicroBatchOutcome, StepContext, StepOutcome } from "../loop/recipe.ts";
import type { CompletionsFile } from "./completions-file.ts";
import type { EntropyControl } from "./entropy-control.ts";
import { type GenerationMaker, type MadeGeneration, makeGeneration } from "./generate.ts";
import type { Generation } from "./generation.ts";
import type { GenerationBatches, GenerationSlice } from "./generation-batches.ts";
import type { GRPOLossSettings } from "./losses/settings.ts";
import type { GRPOMetrics } from "./metrics.ts";
import { type NoteName, notesOf } from "./notes.ts";
import { type GRPOStep, grpoStep } from "./train-step.ts";

/** What a run is made of. */
export interface GRPORunParts {
  maker: GenerationMaker;
  batches: GenerationBatches;
  settings: GRPOLossSettings;
  control: EntropyControl;
  file: CompletionsFile;
}

/** Samples a generation when a step first needs it, and trains on its parts. */
export class GRPORun {
  readonly #parts: GRPORunParts;
  #generations: Generation[] = [];
  #told = new Set<NoteName>();
  readonly #held = new Set<string>();

  constructor(parts: GRPORunParts) {
    this.#parts = parts;
  }

  /** Those in memory. */
  get generations(): readonly Generation[] {
    return this.#generations;
  }

  /** Notes that were told. */
  get told(): ReadonlySet<NoteName> {
    return this.#told;
  }

  /** Goes on with generations of a checkpoint. */
  restore(generations: readonly Generation[], told: ReadonlySet<NoteName>): void {
    this.#generations = [...generations];
    this.#told = new Set(told);
  }

  async step({ session, batches: { step } }: StepContext): Promise<StepOutcome<GRPOMetrics>> {
    const { maker, batches, settings, control } = this.#parts;
    const slices = await batches.slicesOf(step);
    const needed = new Set(slices.map(({ generation }) => generation));
    this.#generations = this.#generations.filter(({ generation }) => needed.has(generation));
    const next = step < batches.totalSteps ? await batches.slicesOf(step + 1) : [];
    const made: MadeGeneration[] = [];
    for (const plan of firstOf(slices)) {
      if (this.#generations.some(({ generation }) => generation === plan.generation)) continue;
      const outlivesStep = next.some(({ generation }) => generation === plan.generation);
      const { generation } = plan;
      const state = { step, totalSteps: batches.totalSteps, epoch: batches.at(step - 1).epochDone, generation };
      const found = await makeGeneration(maker, { session, plan, state, outlivesStep });
      await this.#record(found, step);
      this.#generations.push(found.generation);
      made.push(found);
    }
    const { seed, tokenBudget, temperature } = maker.args;
    const trained = await grpoStep(session, {
      ...{ step, seed, slices, prompts: maker.prompts, tokenBudget, temperature, settings },
      generation: (n) => this.#generations.find(({ generation }) => generation === n) as Generation,
      stepsPerGeneration: batches.sizes.stepsPerGeneration,
      entropyCoef: control.applied,
    });
    return this.#outcome(step, trained, made);
  }

  /** A function that holds the event loop does so in every generation, and is named once. */
  #heldOnce(label: string, milliseconds: number): string[] {
    if (this.#held.has(label)) return [];
    this.#held.add(label);
    return [heldText(label, milliseconds)];
  }

  async #record({ rated, generation: { generation } }: MadeGeneration, step: number): Promise<void> {
    await this.#parts.file.add(
      rated.map(({ prompt, completion, rewards, reward, advantage, extra, place }) => ({
        ...{ step, generation, prompt, completion, ...extra, rewards, reward, advantage, place },
      })),
    );
  }

  #outcome(
    step: number,
    { microBatches, badRows }: GRPOStep,
    made: readonly MadeGeneration[],
  ): StepOutcome<GRPOMetrics> {
    const { control, maker } = this.#parts;
    const { logCompletions, numCompletionsToPrint, entropyCoef, useAdaptiveEntropy } = maker.args;
    const entropy = { sum: 0, tokens: 0 };
    for (const { loss } of microBatches) {
      entropy.sum += loss.entropy.sum;
      entropy.tokens += loss.entropy.tokens;
    }
    control.after(entropy);
    const hasBonus = entropyCoef !== 0 || useAdaptiveEntropy;
    const outcomes = microBatches.map(({ outcome, loss }, n) => {
      // A generation is counted and logged once, in the step that samples it.
      const given = n === 0 ? Object.assign({}, ...made.map(({ metrics }) => asSums(metrics))) : {};
      const bonus = hasBonus ? asSums({ policy_loss: loss.policyLoss, entropy_coef: control.coef }) : {};
      const metrics = { ...outcome.metrics, ...bonus, ...given } as MicroBatchOutcome<GRPOMetrics>["metrics"];
      const tokens = n === 0 ? made.reduce((sum, { tokens: all }) => sum + all, 0) : 0;
      return { ...outcome, tokens, metrics };
    });
    const mean = microBatches.reduce((sum, { loss }) => sum + loss.loss, 0) / Math.max(1, microBatches.length);
    const notes = notesOf(
      {
        ...{ step, loss: mean, spread: made[0]?.spread ?? null },
        isFirstIteration: this.#generations.every((generation) => generation.step === step),
        hasGradient: microBatches.some(({ hasGradient }) => hasGradient),
      },
      this.#told,
    );
    for (const [name] of notes) this.#told.add(name);
    const events = made.map(({ rated, generation: { generation } }) => ({
      ...{ type: "completions" as const, step, generation },
      completions: rated
        .slice(0, numCompletionsToPrint ?? rated.length)
        .map(({ extra: _, place: __, ...completion }) => completion),
    }));
    return {
      ...{ microBatches: outcomes, badRows, denominator: Math.max(1, microBatches.length) },
      notes: notes.map(([, message]) => message),
      events: logCompletions ? events : [],
      warnings: made
        .flatMap(({ held }) => held)
        .flatMap(([label, milliseconds]) => this.#heldOnce(label, milliseconds)),
    };
  }
}

/** The plan of each generation, in order. */
function firstOf(slices: readonly GenerationSlice[]): GenerationSlice[] {
  return slices.filter(({ generation }, n) => slices.findIndex((other) => other.generation === generation) === n);
}

function asSums(values: Readonly<Record<string, number>>) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { sum: value, weight: 1 }]));
}

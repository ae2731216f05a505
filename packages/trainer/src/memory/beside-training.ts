// The memory of a run beyond that of its training passes: evaluations with larger ones, and a frozen copy of the model.
import type { LanguageModel, MemoryPlan, PassShape } from "@tunesmith/core";

/** What a run does besides training. */
export interface BesideTraining {
  /** Whether a frozen copy of the model is held next to the one that is trained. */
  frozenCopy: boolean;
  /** The largest pass of its evaluations; null where there are none. */
  evaluation: PassShape | null;
}

/** A model whose sessions are planned with what the run does besides. Passes that are asked about are those of training. */
export function withBesides(model: LanguageModel, { frozenCopy, evaluation }: BesideTraining): LanguageModel {
  const { info, tokenizer, weightOptions } = model;
  return {
    ...{ info, tokenizer, weightOptions },
    createGenerator: (options) => model.createGenerator(options),
    createSession: (options) => model.createSession(options),
    estimateMemory: async (options, pass) => {
      const all = evaluation === null ? pass : together(pass, evaluation);
      const forward = { ...shapeOf(all), forwardOnly: true };
      const session = await model.estimateMemory(options, pass);
      const isLarger = all.tokens > pass.tokens || all.longest > pass.longest;
      const whole = isLarger
        ? evaluating(
            session,
            await model.estimateMemory(options, all),
            await model.estimateMemory(options, { ...shapeOf(evaluation ?? pass), forwardOnly: true }),
          )
        : session;
      return frozenCopy ? withCopy(whole, await model.estimateMemory({ ...options, adapter: null }, forward)) : whole;
    },
  };
}

function shapeOf({ tokens, longest, supervised }: PassShape): PassShape {
  return { tokens, longest, supervised };
}

/** A pass that is as large as both. */
function together(pass: PassShape, other: PassShape): PassShape {
  return {
    ...pass,
    tokens: Math.max(pass.tokens, other.tokens),
    longest: Math.max(pass.longest, other.longest),
    supervised: Math.max(pass.supervised, other.supervised),
  };
}

/**
 * A session that evaluates with larger passes than it trains with: what both work in is reused, each part of it as large as the larger of
 * both. That is at most their sum, and at most what training with passes of both sizes would take.
 */
function evaluating(training: MemoryPlan, both: MemoryPlan, forward: MemoryPlan): MemoryPlan {
  const activations = Math.min(both.activations, training.activations + forward.activations);
  return { ...training, activations, peak: training.peak - training.activations + activations };
}

/** The copy is read once the session is there. */
function withCopy(session: MemoryPlan, copy: MemoryPlan): MemoryPlan {
  return {
    ...session,
    weights: session.weights + copy.weights + copy.trained,
    activations: session.activations + copy.activations,
    peak: session.peak + copy.peak,
    loading: Math.max(session.loading, session.peak - session.activations + copy.loading),
  };
}

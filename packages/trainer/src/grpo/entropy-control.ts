// The factor of the entropy bonus, which follows the entropy where that is asked for.

/** Options of the entropy bonus. */
export interface EntropyOptions {
  entropyCoef: number;
  useAdaptiveEntropy: boolean;
  entropyTarget: number;
  entropyCoefDelta: number;
  entropyCoefMin: number;
  entropyCoefMax: number;
}

/** What it remembers, a part of checkpoints. */
export interface EntropyState {
  /** The factor as it is now. */
  coef: number;
  /** Mean entropy per trained token of the step before, in nats; null before the first. */
  entropy: number | null;
}

/**
 * The factor of each step: a number, or one that a step applies where the entropy of the step before was at most the target, that rises
 * by `entropyCoefDelta` after a step of at most the target and falls after another (Skywork-OR1, arXiv:2505.22312).
 */
export class EntropyControl {
  readonly #options: EntropyOptions;
  #state: EntropyState;

  constructor(options: EntropyOptions) {
    this.#options = options;
    this.#state = { coef: options.entropyCoef, entropy: null };
  }

  /** The factor that the step in hand applies. */
  get applied(): number {
    const { coef, entropy } = this.#state;
    if (!this.#options.useAdaptiveEntropy) return coef;
    return entropy !== null && entropy <= this.#options.entropyTarget ? coef : 0;
  }

  /** The factor as it is logged. */
  get coef(): number {
    return this.#state.coef;
  }

  /** Told after each step. A step without a trained token changes nothing. */
  after({ sum, tokens }: { sum: number; tokens: number }): void {
    const { useAdaptiveEntropy, entropyTarget, entropyCoefDelta, entropyCoefMin, entropyCoefMax } = this.#options;
    if (!useAdaptiveEntropy || tokens === 0) return;
    const entropy = sum / tokens;
    const moved = this.#state.coef + (entropy <= entropyTarget ? entropyCoefDelta : -entropyCoefDelta);
    this.#state = { coef: Math.min(Math.max(moved, entropyCoefMin), entropyCoefMax), entropy };
  }

  save(): EntropyState {
    return { ...this.#state };
  }

  load(state: EntropyState): void {
    this.#state = { ...state };
  }
}

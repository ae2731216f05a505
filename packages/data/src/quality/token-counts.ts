// How long examples are, in as little memory as there are different lengths.
import type { DataReport } from "./report.ts";

/** Counts examples by their tokens. */
export class TokenCounts {
  readonly #examples = new Map<number, number>();
  #count = 0;

  /** Counts an example. */
  add(tokens: number): void {
    this.#examples.set(tokens, (this.#examples.get(tokens) ?? 0) + 1);
    this.#count += 1;
  }

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Smallest, median, 95th percentile (nearest rank), largest and sum. Zeros for no examples. */
  get statistics(): DataReport["tokens"] {
    const sorted = [...this.#examples].sort(([a], [b]) => a - b);
    const rank = (share: number) => {
      let left = Math.max(1, Math.ceil(share * this.#count));
      const found = sorted.find(([, examples]) => {
        left -= examples;
        return left <= 0;
      });
      return found?.[0] ?? 0;
    };
    const total = sorted.reduce((sum, [tokens, examples]) => sum + tokens * examples, 0);
    return { min: rank(0), median: rank(0.5), p95: rank(0.95), max: rank(1), total };
  }
}

// Keeps texts that are unlike all that were kept before, as Self-Instruct does with the instructions it generates.
import type { RougePool, Similarity } from "@tunesmith/core";

/** What became of a candidate. */
export interface Novelty {
  /** Whether it was kept. */
  isNovel: boolean;
  /** ROUGE-L F-measure with the most similar text that was kept before it; 0 where none shares a word. */
  score: number;
  /** Place of that text among all that were kept, from 0; null where there is none. */
  index: number | null;
}

/** How unlike a text must be. */
export interface NoveltyOptions {
  /** Largest ROUGE-L F-measure with any text kept before. Default 0.7 (Self-Instruct). */
  threshold?: number;
}

/** Keeps texts that are unlike all that were kept before. Candidates are judged in their order, whatever batches they come in. */
export class NoveltyFilter {
  readonly #similarity: Similarity;
  readonly #threshold: number;
  readonly #pool: RougePool;
  #size = 0;
  #before: Promise<unknown> = Promise.resolve();

  constructor(similarity: Similarity, { threshold = 0.7 }: NoveltyOptions = {}) {
    this.#similarity = similarity;
    this.#threshold = threshold;
    this.#pool = similarity.rougePool();
  }

  /** Number of texts kept. */
  get size(): number {
    return this.#size;
  }

  /** Keeps texts as they are, such as the seeds of a pool. */
  keep(texts: readonly string[]): Promise<void> {
    return this.#afterOthers(async () => {
      this.#size = await this.#pool.add(texts);
    });
  }

  /** Judges candidates one after another, and keeps those that are novel. */
  judge(candidates: readonly string[]): Promise<Novelty[]> {
    return this.#afterOthers(() => this.#judge(candidates));
  }

  async #judge(candidates: readonly string[]): Promise<Novelty[]> {
    const found = await this.#pool.mostSimilar(candidates);
    // Those kept of this batch, which the pool did not have when it was asked.
    const kept: string[] = [];
    const fresh = this.#similarity.rougePool();
    const judged: Novelty[] = [];
    for (const [n, candidate] of candidates.entries()) {
      let { index, score } = found[n] as { index: number | null; score: number };
      if (kept.length > 0 && score <= this.#threshold) {
        const [among] = await fresh.mostSimilar([candidate]);
        if (among !== undefined && among.index !== null && among.score > score)
          [index, score] = [this.#size + among.index, among.score];
      }
      const isNovel = score <= this.#threshold;
      judged.push({ isNovel, score, index });
      if (isNovel) {
        kept.push(candidate);
        await fresh.add([candidate]);
      }
    }
    this.#size = await this.#pool.add(kept);
    return judged;
  }

  #afterOthers<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#before.then(call);
    this.#before = result.catch(() => {});
    return result;
  }
}

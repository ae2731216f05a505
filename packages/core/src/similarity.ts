// How alike texts are, as an interface: ROUGE-L, n-grams, near duplicates.

/** The text of a pool that is most like a candidate. */
export interface MostSimilar {
  /** Place of the text in the pool, from 0, the first among equals; null where no text shares a word with the candidate. */
  index: number | null;
  /** ROUGE-L F-measure, 0 to 1. */
  score: number;
}

/**
 * Texts that candidates are compared with by ROUGE-L, as rouge-score computes it without a stemmer: words are runs of the letters a to z
 * and digits, in lower case. Calls take effect in their order. It holds about 12 bytes a word.
 */
export interface RougePool {
  /** Adds texts, each at the next place; gives how many there are then. */
  add(texts: readonly string[]): Promise<number>;
  /** The most similar text of the whole pool for each candidate, exactly; on all processors. */
  mostSimilar(candidates: readonly string[]): Promise<MostSimilar[]>;
}

/** The n-grams of one text. */
export interface NgramCount {
  /** All, with repeats. */
  total: number;
  /** Different ones. */
  distinct: number;
  /** How often the most frequent one stands there. */
  most: number;
  /** That one, its words apart by spaces, in lower case; empty where there is none. */
  frequent: string;
}

/** What near duplicates are. */
export interface NearDuplicateOptions {
  /**
   * What a shingle is made of: `word`, by Unicode's word boundaries, in lower case, without punctuation; or `character`, in lower case,
   * each run of white space as one space. Default `word`.
   */
  unit?: "word" | "character";
  /** Words or characters of a shingle. Default 5 (text-dedup). A text with fewer is one shingle. */
  size?: number;
  /** Least Jaccard similarity of a pair, from 0.7 to 1. Default 0.7. */
  threshold?: number;
  /** Pairs that are given at most. Default 1,000,000. */
  maxPairs?: number;
}

/** Two texts that are nearly the same. */
export interface NearDuplicatePair {
  /** Place of the earlier text, from 0. */
  first: number;
  /** Place of the later one. */
  second: number;
  /** Jaccard similarity of the sets of their shingles, exactly. */
  similarity: number;
}

/** Pairs of texts that are nearly the same. */
export interface NearDuplicates {
  /** By their places. */
  pairs: NearDuplicatePair[];
  /** By text: place of the first text of those it hangs together with through pairs; its own place where there are none. */
  clusters: Int32Array;
  /** False where there are more pairs than `maxPairs`, or too many candidates to compare them all. */
  complete: boolean;
}

/** How alike texts are. All of it runs off the event loop, on all processors; wrong arguments are an `ArgumentError`. */
export interface Similarity {
  /** A pool without texts. */
  rougePool(): RougePool;
  /** ROUGE-L F-measure of each pair, as rouge-score computes it without a stemmer. */
  rougeL(pairs: readonly { target: string; prediction: string }[]): Promise<Float64Array>;
  /** The n-grams of each text, by Unicode's words in lower case. `n` is at least 1. */
  countNgrams(texts: readonly string[], n: number): Promise<NgramCount[]>;
  /** The n-grams of all texts together; distinct-n (Li et al. 2016) is `distinct / total`. */
  distinctNgrams(texts: readonly string[], n: number): Promise<{ total: number; distinct: number }>;
  /**
   * Finds pairs of texts that are nearly the same. Fewer than 5,000 different texts are compared each with each; of more, MinHash proposes
   * pairs, by which 98 of 100 of similarity 0.7 are found and 9,999 of 10,000 of 0.8. Texts of white space alone are like none.
   */
  nearDuplicates(texts: readonly string[], options?: NearDuplicateOptions): Promise<NearDuplicates>;
}

// How alike texts are, over the binding.
import {
  type MostSimilar,
  type NearDuplicateOptions,
  type NearDuplicatePair,
  type NearDuplicates,
  type NgramCount,
  type RougePool,
  type Similarity,
  slices,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { array, integer, object, refuse, string } from "./check.ts";

/** ROUGE-L, n-grams and near duplicates by the engine's binding. */
export const similarity: Similarity = {
  rougePool: () => new NativeRougePool(),

  async rougeL(pairs) {
    const column = (name: "target" | "prediction") =>
      array("rougeL.pairs", pairs).map((pair, n) =>
        string(`rougeL.pairs[${n}].${name}`, object(`rougeL.pairs[${n}]`, pair)[name]),
      );
    const [targets, predictions] = [column("target"), column("prediction")];
    return nativeAsync((library) => library.rougeL(targets, predictions));
  },

  async countNgrams(texts, n) {
    const [checked, words] = [strings("countNgrams.texts", texts), ngramSize("countNgrams.n", n)];
    const counted = await nativeAsync((library) => library.countNgrams(checked, words));
    return counted.frequent.map(
      (frequent, text): NgramCount => ({
        total: counted.totals[text] as number,
        distinct: counted.distinct[text] as number,
        most: counted.most[text] as number,
        frequent,
      }),
    );
  },

  async distinctNgrams(texts, n) {
    const words = ngramSize("distinctNgrams.n", n);
    const list = await handedOver("distinctNgrams.texts", texts);
    return nativeAsync((library) => library.distinctNgrams(list, words));
  },

  async nearDuplicates(texts, options = {}) {
    const search = searchOf(options);
    const list = await handedOver("nearDuplicates.texts", texts);
    const found = await nativeAsync((library) => library.nearDuplicates(list, search));
    const pairs: NearDuplicatePair[] = [];
    for (const [n, value] of found.similarities.entries()) {
      pairs.push({ first: found.first[n] as number, second: found.second[n] as number, similarity: value });
      if (slices.isOver) await slices.turn();
    }
    return { pairs, clusters: found.clusters, complete: found.complete } satisfies NearDuplicates;
  },
};

class NativeRougePool implements RougePool {
  readonly #inner: Native.RougePool = native((library) => new library.RougePool());
  /** Each call works on a thread of its own: the next begins when the one before it has ended. */
  #before: Promise<unknown> = Promise.resolve();

  async add(texts: readonly string[]): Promise<number> {
    const checked = strings("rougePool.add.texts", texts);
    return this.#afterOthers(() => this.#inner.add(checked));
  }

  async mostSimilar(candidates: readonly string[]): Promise<MostSimilar[]> {
    const checked = strings("rougePool.mostSimilar.candidates", candidates);
    const { indices, scores } = await this.#afterOthers(() => this.#inner.mostSimilar(checked));
    return Array.from(indices, (index, n) => ({ index: index < 0 ? null : index, score: scores[n] as number }));
  }

  #afterOthers<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#before.then(() => nativeAsync(call));
    this.#before = result.catch(() => {});
    return result;
  }
}

function searchOf(options: NearDuplicateOptions): Native.NearDuplicateOptions {
  const { unit = "word", size = 5, threshold = 0.7, maxPairs = 1_000_000 } = object("nearDuplicates.options", options);
  if (unit !== "word" && unit !== "character") refuse("nearDuplicates.unit", "word or character", unit);
  if (typeof threshold !== "number" || !(threshold >= 0.7 && threshold <= 1))
    refuse("nearDuplicates.threshold", "a number from 0.7 to 1", threshold);
  return {
    characters: unit === "character",
    size: integer("nearDuplicates.size", size, 1, 1_000),
    threshold,
    maxPairs: integer("nearDuplicates.maxPairs", maxPairs, 1, 2 ** 28),
  };
}

function strings(place: string, texts: readonly string[]): string[] {
  return array(place, texts).map((text, n) => string(`${place}[${n}]`, text));
}

/** Texts that are checked and copied at once. */
const part = 256;

/** Texts as the binding takes many of them: checked and copied part by part, between which the event loop turns. */
async function handedOver(place: string, texts: readonly string[]): Promise<Native.TextList> {
  const all = array(place, texts);
  const list = native((library) => new library.TextList());
  for (let from = 0; from < all.length; from += part) {
    list.push(all.slice(from, from + part).map((text, n) => string(`${place}[${from + n}]`, text)));
    if (slices.isOver) await slices.turn();
  }
  return list;
}

function ngramSize(place: string, n: number): number {
  return integer(place, n, 1, 1_000);
}

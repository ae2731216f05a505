// What a data set covers: how its prompts open, how many pairs of words are distinct, how large its largest cluster is.
import { type Similarity, slices } from "@tunesmith/core";
import { type AuditRow, answersOf, firstPrompt } from "./audit-row.ts";
import { flatMapInSlices } from "./in-slices.ts";

/** What a data set covers. */
export interface Coverage {
  rows: number;
  /** How prompts open: the first word and the first word after it that says what about, most frequent first, ten at most. */
  openings: { verb: string; object: string; count: number }[];
  /** Different openings. */
  distinctOpenings: number;
  /** Different pairs of words in the answers, of all (distinct-2); null where there are none. */
  distinct2: number | null;
  /** Share of rows in the largest cluster of near duplicates. */
  largestCluster: number;
}

/** Words between a verb and what it is about. */
const between = new Set(
  "a an the some any of for to me us my your our this that these those in on with by following given and or is are be it i you all each every".split(
    " ",
  ),
);

/** The opening of a prompt, in the sense of Self-Instruct's verbs and nouns, without a parser. */
export function openingOf(prompt: string): { verb: string; object: string } {
  const words = prompt.toLowerCase().match(/[\p{L}\p{N}'-]+/gu) ?? [];
  const polite = words.findIndex((word) => !["please", "can", "could", "you", "would", "kindly"].includes(word));
  const [verb = "", ...rest] = words.slice(Math.max(0, polite), Math.max(0, polite) + 8);
  return { verb, object: rest.find((word) => !between.has(word)) ?? "" };
}

/** What rows cover. */
export async function coverageOf(
  rows: readonly AuditRow[],
  clusters: Int32Array,
  similarity: Similarity,
): Promise<Coverage> {
  const counts = new Map<string, { verb: string; object: string; count: number }>();
  for (const row of rows) {
    const opening = openingOf(firstPrompt(row));
    if (opening.verb === "") continue;
    const key = `${opening.verb} ${opening.object}`;
    const counted = counts.get(key) ?? { ...opening, count: 0 };
    counted.count += 1;
    counts.set(key, counted);
    if (slices.isOver) await slices.turn();
  }
  const sizes = new Map<number, number>();
  for (const first of clusters) sizes.set(first, (sizes.get(first) ?? 0) + 1);
  const largest = [...sizes.values()].reduce((most, size) => Math.max(most, size), 0);
  const { total, distinct } = await similarity.distinctNgrams(await flatMapInSlices(rows, answersOf), 2);
  return {
    rows: rows.length,
    openings: [...counts.values()].sort((a, b) => b.count - a.count).slice(0, 10),
    distinctOpenings: counts.size,
    distinct2: total === 0 ? null : distinct / total,
    largestCluster: rows.length === 0 ? 0 : largest / rows.length,
  };
}

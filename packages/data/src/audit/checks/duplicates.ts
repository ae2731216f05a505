// Rows that say the same, and rows that say nearly the same.
import { type NearDuplicates, slices } from "@tunesmith/core";
import { type AuditRow, normalized, promptOf, saidIn } from "../audit-row.ts";
import type { AuditData, Check, Noted } from "../finding.ts";
import { flatMapInSlices, mapInSlices } from "../in-slices.ts";

/** Words of a shingle: rows of chat are shorter than the documents that five are usual for. */
const shingle = 3;

/** Rows whose turns equal those of an earlier row. */
export const exactDuplicate: Check = {
  code: "exact-duplicate",
  severity: "warning",
  remedy: "keep one of each; what stands there twice is learned by heart, and repeats in what the model writes",
  isRemoved: true,
  find: async ({ rows }) => ({ message: "rows that equal an earlier row", rows: await copies(rows) }),
};

/** Rows that are nearly an earlier row. */
export const nearDuplicate: Check = {
  code: "near-duplicate",
  severity: "warning",
  remedy: "keep one of each cluster, or add diversity; near copies count as more weight and teach repetition",
  isRemoved: true,
  async find(data) {
    const { rows } = data;
    const copied = new Set((await copies(rows)).map(({ row }) => row));
    const { pairs } = await near("train", data);
    const found = new Map<AuditRow, Noted>();
    for (const { first, second, similarity } of pairs) {
      const [earlier, row] = [rows[first] as AuditRow, rows[second] as AuditRow];
      if (copied.has(row)) continue;
      const noted = found.get(row) ?? {
        row,
        detail: `Jaccard ${similarity.toFixed(2)} with ${earlier.place}`,
        like: [],
      };
      noted.like?.push(earlier);
      found.set(row, noted);
    }
    return { message: "rows that are nearly an earlier row", rows: inOrder(found) };
  },
};

/** Rows that stand in the set to evaluate with as well. */
export const leakage: Check = {
  code: "train-eval-leakage",
  severity: "error",
  remedy: "take these rows out of one of the sets; an evaluation on rows that were trained on shows no overfitting",
  isRemoved: true,
  async find(data) {
    const { rows, evalRows } = data;
    if (evalRows.length === 0) return null;
    const found = new Map<AuditRow, Noted>();
    await noteTwins(found, data, "equals", (row) => normalized(saidIn(row)));
    await noteTwins(found, data, "asks what is asked in", promptOf);
    const { pairs } = await near("both", data);
    for (const { first, second, similarity } of pairs) {
      const [row, twin] = [rows[first], evalRows[second - rows.length]];
      if (row === undefined || twin === undefined || found.has(row)) continue;
      found.set(row, { row, detail: `Jaccard ${similarity.toFixed(2)} with ${twin.place}` });
    }
    return { message: "rows that stand in the set to evaluate with as well", rows: inOrder(found) };
  },
};

function inOrder(found: ReadonlyMap<AuditRow, Noted>): Noted[] {
  return [...found.values()].sort((a, b) => a.row.index - b.row.index);
}

/** Notes the rows whose key a row to evaluate with has as well. */
async function noteTwins(
  found: Map<AuditRow, Noted>,
  { rows, evalRows }: AuditData,
  verb: string,
  keyOf: (row: AuditRow) => string,
): Promise<void> {
  const held = new Map<string, AuditRow>();
  for (const row of evalRows) {
    held.set(keyOf(row), row);
    if (slices.isOver) await slices.turn();
  }
  for (const row of rows) {
    const key = keyOf(row);
    const twin = key === "" ? undefined : held.get(key);
    if (twin !== undefined && !found.has(row)) found.set(row, { row, detail: `${verb} ${twin.place}` });
    if (slices.isOver) await slices.turn();
  }
}

/** One cluster of near duplicates that is much of the set. */
export const largeCluster: Check = {
  code: "large-cluster",
  severity: "warning",
  remedy: "sample from this cluster or add other tasks: the model learns mostly this",
  isRemoved: false,
  async find(data) {
    const { rows, limits } = data;
    const { clusters } = await near("train", data);
    const sizes = new Map<number, number>();
    for (const first of clusters) sizes.set(first, (sizes.get(first) ?? 0) + 1);
    let [first, size] = [0, 0];
    for (const entry of sizes) if (entry[1] > size) [first, size] = entry;
    if (size < 5 || size <= limits.maxClusterShare * rows.length) return null;
    const found = rows
      .filter((_, n) => clusters[n] === first)
      .map((row) => ({ row, detail: `as ${rows[first]?.place}` }));
    const share = Math.round((100 * size) / rows.length);
    return { message: `one cluster of near duplicates holds ${share} % of the rows`, rows: found, isOfSet: true };
  },
};

/** Which rows are compared: those to train on, those to evaluate with, or the second after the first. */
type Compared = "train" | "eval" | "both";

const searches = new WeakMap<AuditData, Map<Compared, Promise<NearDuplicates>>>();

/** Near duplicates among rows; the same rows are compared once in an audit. */
export function near(which: Compared, data: AuditData): Promise<NearDuplicates> {
  const known = searches.get(data) ?? new Map<Compared, Promise<NearDuplicates>>();
  searches.set(data, known);
  const found = known.get(which) ?? search(which, data);
  known.set(which, found);
  return found;
}

async function search(which: Compared, { rows, evalRows, similarity, limits }: AuditData): Promise<NearDuplicates> {
  const compared = { train: rows, eval: evalRows, both: [...rows, ...evalRows] }[which];
  const options = { unit: "word", size: shingle, threshold: limits.nearDuplicateThreshold } as const;
  return similarity.nearDuplicates(await mapInSlices(compared, saidIn), options);
}

function copies(rows: readonly AuditRow[]): Promise<Noted[]> {
  const seen = new Map<string, AuditRow>();
  return flatMapInSlices(rows, (row) => {
    if (row.turns.length === 0) return [];
    const key = JSON.stringify(row.turns.map(({ role, text, acts }) => [role, acts ? [text, row.index] : text]));
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, row);
    return earlier === undefined ? [] : [{ row, detail: `equals ${earlier.place}` }];
  });
}

import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { collate, IGNORE_INDEX, pack, prepare, TrainingRows } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { expect, test } from "vitest";

const own = resolve(import.meta.dirname, "../fixtures");
const large = process.env.TUNESMITH_FIXTURES;

/** The folders of all small models. */
const models = (large === undefined ? [own] : [own, large]).flatMap((root) => {
  const folder = join(root, "models");
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
});

/** Documents of unequal lengths, one of a single label, some tokens without a label or with a weight of their own. */
function documents(count: number): Record<string, unknown>[] {
  let state = 7;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: count }, (_, n) => {
    const ids = Array.from({ length: n === 0 ? 2 : 2 + random(70) }, () => 3 + random(250));
    const labels = ids.map((id, t) => (t > 1 && random(4) === 0 ? IGNORE_INDEX : id));
    return { input_ids: ids, labels, weights: ids.map(() => 1 + random(3)), weight: 1 + (n % 2) };
  });
}

test.each(models)("a packed document has the loss that it has alone, to the bit (%s)", async (path) => {
  const model = await loadModel(path, { device: "cpu", threads: 2 });
  const { examples } = await prepare(documents(12), model.tokenizer, {
    ...{ name: "documents", datasetFormat: "auto", datasetTextField: "text" },
    ...{ maxLength: 96, assistantOnlyLoss: true, completionOnlyLoss: null },
  });
  await using session = await model.createGenerator();
  const sumsOf = async (rows: TrainingRows, row: number) => {
    const sequences = rows.at(row).map((example) => ({ example, microBatch: 0 }));
    const sums = await session.evaluate(collate(sequences));
    return sequences.map(({ example: { rowId } }, n) => {
      const { lossSum, weightSum, entropySum, correct, tokens } = sums;
      return [rowId, lossSum[n], weightSum[n], entropySum[n], correct[n], tokens[n]] as const;
    });
  };
  const all = async (rows: TrainingRows) => {
    const sums = [];
    for (let row = 0; row < rows.length; row += 1) sums.push(...(await sumsOf(rows, row)));
    return sums.sort(([a], [b]) => a - b);
  };
  const packed = new TrainingRows(examples, (await pack(examples.lengths, 96, "bfd")).packs);
  expect(packed.length).toBeLessThan(examples.length);
  const alone = await all(new TrainingRows(examples));
  expect(await all(packed)).toEqual(alone);
  expect(alone.every(([, loss]) => (loss ?? 0) > 0)).toBe(true);
});

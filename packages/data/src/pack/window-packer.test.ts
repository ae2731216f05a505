import { expect, test } from "vitest";
import type { Example } from "../examples/example.ts";
import { pack } from "./packing.ts";
import { WindowPacker } from "./window-packer.ts";

/** Examples of different lengths, whose tokens are numbered through. */
function examples(count: number): Example[] {
  return Array.from({ length: count }, (_, rowId) => {
    const length = 1 + ((rowId * 37) % 90);
    const ids = Int32Array.from({ length }, (_, t) => 1000 * rowId + t);
    return { ids, labels: ids.slice(), turns: 1, length, rowId, truncated: false };
  });
}

async function* stream(list: readonly Example[], read: number[] = []): AsyncGenerator<Example, undefined> {
  for (const example of list) {
    read.push(example.rowId);
    yield example;
  }
}

test.each(["bfd", "bfd_split", "wrapped"] as const)(
  "%s: rows and report are those of the whole set",
  async (strategy) => {
    const list = examples(2345);
    const lengths = list.map(({ length }) => length);
    const whole = await pack(lengths, 64, strategy);
    const packer = new WindowPacker({ seqLength: 64, strategy });
    const rows: number[][][] = [];
    for await (const row of packer.rows(stream(list)))
      rows.push(row.map(({ rowId, ids }) => [rowId, ids[0] ?? -1, ids.length]));
    expect(rows).toEqual(
      Array.from({ length: whole.packs.length }, (_, row) =>
        whole.packs.at(row).map(({ example, start, length }) => [example, 1000 * example + start, length]),
      ),
    );
    expect(packer.report).toEqual({ ...whole.report, fillRate: expect.closeTo(whole.report.fillRate, 12) });
  },
);

test("no more than a window of examples is read for a row, and none gives none", async () => {
  const read: number[] = [];
  const packer = new WindowPacker({ seqLength: 64, strategy: "bfd" });
  const rows = packer.rows(stream(examples(5000), read));
  await rows.next();
  expect(read.length).toBe(1000);
  await rows.return(undefined);
  for await (const row of packer.rows(stream([]))) expect(row).toBe(null);
});

import { expect, test } from "vitest";
import { fieldsOf, readAll, rowsFile } from "../testing/read-rows.ts";
import { selectRows } from "./select-rows.ts";

const rows = ["four", "to", "three", "a", "to"].map((completion, n) => ({ prompt: `${n}`, completion }));
const prompts = async (source: Parameters<typeof readAll>[0]) => (await fieldsOf(source)).map(({ prompt }) => prompt);

test("the longest answers are kept, in the order of the set", async () => {
  expect(await prompts(selectRows(rows, { by: "length", keep: 3 }))).toEqual(["0", "1", "2"]);
  expect(await prompts(selectRows(rows, { by: "length", keep: 0.4 }))).toEqual(["0", "2"]);
  expect(await prompts(selectRows(rows, { by: "length", keep: 0.05 }))).toEqual(["2"]);
  expect(await prompts(selectRows(rows, { by: "length", keep: 9 }))).toHaveLength(5);
  const once = selectRows(rows.values(), { by: "length", keep: 1 });
  expect([await prompts(once), await prompts(once)]).toEqual([["2"], ["2"]]);
});

test("a function scores rows, and leaves out those it gives no number", async () => {
  const by = async (row: Record<string, unknown>) => (row.prompt === "4" ? Number.NaN : -Number(row.prompt));
  expect(await prompts(selectRows(rows, { by, keep: 2 }))).toEqual(["0", "1"]);
  expect(await prompts(selectRows(rows, { by, keep: 5 }))).toEqual(["0", "1", "2", "3"]);
});

test("places are those of the file, and what cannot be read is passed on", async () => {
  const path = await rowsFile(`${JSON.stringify(rows[1])}\n{"prompt":1,"completion":2}\n${JSON.stringify(rows[2])}\n`);
  const selected = selectRows(path, { by: "length", keep: 1 });
  expect(selected.name).toBe(`${path} (selected)`);
  expect((await readAll(selected)).map(({ line }) => line)).toEqual([2, 3]);
});

test("senseless options are refused", () => {
  for (const [options, message] of [
    [{ by: "size", keep: 1 }, '"length" or a function as by, got size'],
    [{ by: "length", keep: 0 }, "as keep, got 0"],
    [{ by: "length", keep: 1.5 }, "as keep, got 1.5"],
  ] as const)
    expect(() => selectRows(rows, options as never)).toThrow(message);
});

// The rows in the table of docs/data.md have the formats that it says.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { formats, prepare } from "@tunesmith/data";
import { expect, test } from "vitest";
import { letterTokenizer } from "../../packages/core/src/testing/letter-tokenizer.ts";
import { plainOptions } from "../../packages/data/src/testing/prepare-rows.ts";

const page = fileURLToPath(new URL("../../docs/data.md", import.meta.url));

test("the table of data formats has each of them, in their order, with a row that has it", async () => {
  const text = await readFile(page, "utf8");
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| `(\{.*?\})` \| (.*) \|$/gmu)];
  expect([...new Set(rows.map(([, name]) => name))]).toEqual(formats.map(({ name }) => name));
  for (const [, name = "", row = "", trained = ""] of rows) {
    const run = prepare([JSON.parse(row)], letterTokenizer, plainOptions);
    if (trained.startsWith("for ")) await expect(run).rejects.toThrow(`of the format "${name}"`);
    else expect((await run).report).toMatchObject({ format: name, kept: 1, ignoredColumns: [] });
  }
});

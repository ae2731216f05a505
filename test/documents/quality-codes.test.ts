// The table in docs/quality.md has every code of an audit, with its severity and whether a cleaned copy goes without its rows.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { auditCodes } from "@tunesmith/data";
import { expect, test } from "vitest";
import { checks } from "../../packages/data/src/audit/checks/index.ts";

const page = fileURLToPath(new URL("../../docs/quality.md", import.meta.url));

test("the table of findings has each of them, in their order", async () => {
  const text = await readFile(page, "utf8");
  const rows = [...text.matchAll(/^\| `([a-z0-9-]+)` \| (error|warning|note) \| .* \| (removes )?\|$/gmu)];
  expect(rows.map(([, code]) => code)).toEqual(auditCodes);
  for (const { code, severity, isRemoved } of checks)
    expect(rows.find(([, name]) => name === code)?.slice(2)).toEqual([severity, isRemoved ? "removes " : undefined]);
});

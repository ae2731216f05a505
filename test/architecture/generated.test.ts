// Generated files equal a fresh generation.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { generated } from "../../scripts/generate.ts";
import { fileList, firstSentence } from "../../scripts/map.ts";
import { root } from "./tree.ts";

test("generated files equal a fresh generation; `npm run generate` makes them so", () => {
  const stale = generated().filter(({ path, text }) => {
    return !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text;
  });
  expect(stale.map(({ path }) => path)).toEqual([]);
});

test("a file's first sentence is its header's", () => {
  expect(firstSentence("a.rs", "//! `rope`: rotary\n//! embedding. More.\n\nuse x;\n")).toBe(
    "`rope`: rotary embedding.",
  );
  expect(firstSentence("a.ts", '// Reads rows.\nimport "x";\n')).toBe("Reads rows.");
  expect(firstSentence("a.ts", "// `x`: reads rows\n// one by one. More.\n\n/** One. */\n")).toBe(
    "`x`: reads rows one by one.",
  );
  expect(firstSentence("a.ts", "/** One row. */\n")).toBeUndefined();
  expect(firstSentence("a.py", '#!/usr/bin/env python\n"""Trains a model.\n\nMore.\n"""\n')).toBe("Trains a model.");
  expect(firstSentence("index.ts", 'export * from "./a.ts";\n')).toBeUndefined();
});

test("the map lists every source below a folder with its sentence", () => {
  const map = fileList("test/architecture/");
  const [folder, ...files] = map.split("\n");
  expect(folder).toBe("`test/architecture/`");
  expect(files).toContain(
    "- `tree.ts` The files a rule looks at, and the two tests every rule gets: it holds here, and it notices when it is broken.",
  );
  expect(fileList("test/no-such-folder/")).toBe("");
});

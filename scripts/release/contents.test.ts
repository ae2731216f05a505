import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { contentFaults, isHollow } from "./contents.ts";
import type { Packed } from "./pack.ts";

/** A tarball with these files, and the folder it was packed from. */
function packed(files: Record<string, string>, more: Partial<Packed> = {}): [Packed, string] {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-contents-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const one = {
    name: "a",
    version: "1.0.0",
    file: "a.tgz",
    size: 10,
    integrity: "",
    files: Object.keys(files),
    triple: null,
  };
  return [{ ...one, ...more }, folder];
}

const whole = {
  "package.json":
    '{ "exports": { ".": { "types": "./dist/index.d.ts", "default": "./dist/index.js" } }, "bin": { "a": "bin/a.js" } }',
  "README.md": "# a",
  LICENSE: "Apache",
  "dist/index.d.ts": "",
  "dist/index.js": "",
  "bin/a.js": "",
};

test("a whole tarball has no fault", () => {
  expect(contentFaults(...packed(whole))).toEqual([]);
});

test("what is missing, what is too much, and what points nowhere is named", () => {
  const { LICENSE: _, "bin/a.js": __, ...less } = whole;
  const map = { sources: ["../src/index.ts", "../src/own.ts"], sourcesContent: [null, "text"] };
  const files = {
    ...less,
    "dist/index.js": "export {};\n//# sourceMappingURL=index.js.map",
    "dist/other.js": "//# sourceMappingURL=gone.js.map\n",
    "dist/index.js.map": JSON.stringify(map),
    "dist/index.test.js": "",
    "dist/testing/fake.js": "",
  };
  expect(contentFaults(...packed(files, { size: 1_000_001 }))).toEqual([
    "a lacks LICENSE",
    "a holds dist/index.test.js, a test's",
    "a holds dist/testing/fake.js, a test's",
    "a names bin/a.js, which is not packed",
    "a: dist/index.js.map points at ../src/index.ts, which is not packed",
    "a: dist/other.js names the source map gone.js.map, which is not packed",
    "a has 1000001 bytes, the limit is 1000000",
  ]);
});

test("a platform's package without its binary is hollow, and its size has the limit of its kind", () => {
  const musl = { triple: "x86_64-unknown-linux-musl", size: 12_000_001 };
  const [hollow, folder] = packed({ ...whole }, musl);
  expect(isHollow(hollow)).toBe(true);
  expect(contentFaults(hollow, folder)).toEqual(["a has 12000001 bytes, the limit is 12000000"]);
  expect(isHollow({ ...hollow, files: ["tunesmith.linux-x64-musl.node"] })).toBe(false);
  expect(isHollow({ ...hollow, triple: null })).toBe(false);
  expect(contentFaults({ ...hollow, triple: "x86_64-unknown-linux-gnu" }, folder)).toEqual([]);
});

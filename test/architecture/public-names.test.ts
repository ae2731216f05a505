// What the package `tunesmith` offers is what public-names.txt lists, and nothing that it mentions is kept back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type ts from "typescript";
import { expect, onTestFinished, test, vi } from "vitest";
import { compilerOptions, publicNames, publicProgram, publicTypes } from "./public-names.ts";
import { root } from "./tree.ts";

// The compiler reads every package.
vi.setConfig({ testTimeout: 300_000 });

const listed = readFileSync(join(import.meta.dirname, "public-names.txt"), "utf8")
  .trimEnd()
  .split("\n");

const entry = join(root, "packages/cli/src/index.ts");
// Read once: the compiler is the slowest test here.
let known: ts.Program | undefined;
const program = () => {
  known ??= publicProgram(entry, compilerOptions());
  return known;
};

test("the public names are those of public-names.txt, and what they mention is public too", () => {
  const { names, hidden } = publicNames(entry, compilerOptions(), program());
  const appeared = names.filter((name) => !listed.includes(name));
  const vanished = listed.filter((name) => !names.includes(name));
  expect({ appeared, vanished, hidden }).toEqual({ appeared: [], vanished: [], hidden: [] });
});

// After a change that is meant: `npx vitest run test/architecture/public-names -u`, and read what has changed.
test("the public types are those of public-types.txt", async () => {
  const types = publicTypes(entry, program());
  expect(types, "a name without a declaration").not.toMatch(/^\/\/ \w+\n\n/mu);
  await expect(types).toMatchFileSnapshot("public-types.txt");
});

test("a change of a public type shows in its declaration, and neither a comment nor a body does", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-types-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const types = (parts: string) => {
    writeFileSync(join(folder, "parts.ts"), parts);
    writeFileSync(join(folder, "index.ts"), 'export { double as twice, type Part } from "./parts.ts";\n');
    const options = { allowImportingTsExtensions: true, noLib: true, types: [] };
    return publicTypes(join(folder, "index.ts"), publicProgram(join(folder, "index.ts"), options));
  };
  const before = types(
    "/** A part. */\nexport interface Part { size: number }\nexport const double = (part: Part): number => part.size * 2;\n",
  );
  expect(before).toBe(
    "// Part\nexport interface Part {\n    size: number;\n}\n\n// twice\nexport declare const double: (part: Part) => number;\n",
  );
  expect(
    types("export interface Part { size: number }\nexport const double = (part: Part): number => 2 * part.size;\n"),
  ).toBe(before);
  expect(
    types("export interface Part { size: number }\nexport const double = (part: Part): string => String(part);\n"),
  ).toContain("(part: Part) => string");
});

test("a name that is only a type is told apart, and a type that is kept back is noticed", () => {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-names-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, "parts.ts"),
    `export interface Base {}
export interface Part extends Base {
  inner: Inner;
  /** @internal Not for users. */
  own: Own;
}
export interface Inner {}
export interface Own {}
export class Maker { #own: Own = {}; make(): Part { const own: Own = {}; return { inner: {}, own }; } }
`,
  );
  const entry = join(folder, "index.ts");
  writeFileSync(
    entry,
    'export { Maker, type Part } from "./parts.ts";\nexport type { Maker as Made } from "./parts.ts";\n',
  );
  expect(publicNames(entry, { allowImportingTsExtensions: true, noLib: true, types: [] })).toEqual({
    names: ["type Made", "type Part", "value Maker"],
    hidden: ["Base, in Part", "Inner, in Part"],
  });
});

// What the package `tunesmith` offers is what public-names.txt lists, and nothing that it mentions is kept back.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { compilerOptions, publicNames } from "./public-names.ts";
import { root } from "./tree.ts";

// The compiler reads every package.
vi.setConfig({ testTimeout: 180_000 });

const listed = readFileSync(join(import.meta.dirname, "public-names.txt"), "utf8")
  .trimEnd()
  .split("\n");

test("the public names are those of public-names.txt, and what they mention is public too", () => {
  const { names, hidden } = publicNames(join(root, "packages/cli/src/index.ts"), compilerOptions());
  const appeared = names.filter((name) => !listed.includes(name));
  const vanished = listed.filter((name) => !names.includes(name));
  expect({ appeared, vanished, hidden }).toEqual({ appeared: [], vanished: [], hidden: [] });
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

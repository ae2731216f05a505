// Which package may import which, read from the imports, and held against what each package.json declares.
import { builtinModules } from "node:module";
import { posix } from "node:path";
import { holds, type Rule, type Tree } from "./tree.ts";

/** Package folder → the packages of ours it may import. */
const edges: Record<string, readonly string[]> = {
  core: [],
  native: ["core"],
  data: ["core"],
  curriculum: ["core"],
  synth: ["core", "curriculum"],
  trainer: ["core", "data", "curriculum"],
  sdk: ["core", "native", "data", "curriculum", "synth", "trainer"],
  cli: ["core", "native", "data", "curriculum", "synth", "trainer", "sdk"],
};

type Manifest = { name: string; dependencies?: Record<string, string>; scripts?: Record<string, string> };

const packageOf = (path: string) => /^packages\/([^/]+)\//.exec(path)?.[1] ?? "";
const sources = (tree: Tree) => tree.matching(/^packages\/[^/]+\/src\/.*\.ts$/);
const manifestPaths = (tree: Tree) => tree.matching(/^(?:packages|examples)\/[^/]+\/package\.json$/);
const manifest = (tree: Tree, path: string): Manifest => JSON.parse(tree.text(path));

/** Module names a source imports, statically or not. */
function imports(code: string): string[] {
  const found = code.matchAll(/(?:^|[;}\s])(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g);
  return [...found].map((match) => match[1] ?? match[2] ?? "");
}

const isTest = (path: string) => /\.test\.ts$/.test(path);
const packageName = (specifier: string) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
const folderOf = (name: string) => (name === "tunesmith" ? "cli" : name.replace(/^@tunesmith\//, ""));
const isOurs = (name: string) => name === "tunesmith" || name.startsWith("@tunesmith/");

const onlyAllowedImports: Rule = (tree) =>
  sources(tree).flatMap((path) => {
    const from = packageOf(path);
    const allowed = edges[from];
    if (allowed === undefined)
      return [`${path}: a package without a place; name its directions in ARCHITECTURE.md and here`];
    return imports(tree.code(path))
      .filter((name) => isOurs(packageName(name)) && !allowed.includes(folderOf(packageName(name))))
      .map((name) => `${path}: ${from} must not import ${name}`);
  });

const staysInside: Rule = (tree) =>
  sources(tree).flatMap((path) => {
    const home = `packages/${packageOf(path)}/`;
    // Sources stay in src/, but for the one door to Rust; tests may use their package's helpers and others' stand-ins, and so may
    // stand-ins.
    const inside =
      isTest(path) || path.includes("/testing/")
        ? (target: string) => target.startsWith(home) || /^packages\/[^/]+\/src\/testing\//.test(target)
        : (target: string) => target.startsWith(`${home}src/`) || target.startsWith("packages/native/binding/index.");
    return imports(tree.code(path))
      .filter((name) => name.startsWith("."))
      .map((name) => posix.join(posix.dirname(path), name))
      .filter((target) => !inside(target) || (target.startsWith("packages/native/") && home !== "packages/native/"))
      .map((target) => `${path}: must not import ${target}, which is outside its package`);
  });

/** Folders of the trainer → the folders they may import; what is no room of the loop is a recipe, which may see them all. */
const trainerRooms: Record<string, readonly string[]> = {
  options: [],
  memory: ["options"],
  health: [],
  record: [],
  loop: ["options", "memory", "health", "record"],
};

const loopKnowsNoRecipe: Rule = (tree) =>
  sources(tree).flatMap((path) => {
    const room = /^packages\/trainer\/src\/([^/]+)\//.exec(path)?.[1] ?? "";
    const allowed = trainerRooms[room];
    if (allowed === undefined || isTest(path)) return [];
    return imports(tree.code(path))
      .filter((name) => name.startsWith("."))
      .map((name) => posix.relative("packages/trainer/src", posix.join(posix.dirname(path), name)))
      .filter((target) => ![room, ...allowed].includes(target.split("/", 1)[0] ?? ""))
      .map((target) => `${path}: ${room} must not import ${target}`);
  });

const declaresWhatItImports: Rule = (tree) =>
  manifestPaths(tree).flatMap((path) => {
    const { dependencies = {} } = manifest(tree, path);
    const folder = posix.dirname(path);
    const used = tree
      .matching(/\.ts$/)
      .filter((source) => source.startsWith(`${folder}/`) && !isTest(source) && !/\/test(?:ing)?\//.test(source))
      .flatMap((source) => imports(tree.code(source)))
      .filter((name) => !name.startsWith(".") && !name.startsWith("node:") && !builtinModules.includes(name));
    const names = new Set(used.map(packageName));
    const missing = [...names]
      .filter((name) => !(name in dependencies))
      .map((name) => `${path}: imports ${name} without declaring it`);
    const idle = Object.keys(dependencies)
      .filter((name) => !names.has(name))
      .map((name) => `${path}: declares ${name} without importing it`);
    return [...missing, ...idle];
  });

/** By its namespace a bundle takes what is used of zod; by the object `z` all of it, fifty languages included, before a command's first line. */
const zodByNamespace: Rule = (tree) =>
  sources(tree)
    .filter((path) => /import \{[^}]*\bz\b[^}]*\} from "zod"/.test(tree.code(path)))
    .map((path) => `${path}: write import * as z from "zod"`);

const runsNothingAtInstall: Rule = (tree) =>
  manifestPaths(tree).flatMap((path) =>
    Object.keys(manifest(tree, path).scripts ?? {})
      .filter((name) => /^(?:pre|post)?install$|^prepare$/.test(name))
      .map((name) => `${path}: published packages run no script at install, got ${name}`),
  );

holds(
  "a package imports only the packages its room may see",
  onlyAllowedImports,
  {
    "packages/data/src/a.ts":
      'import { x } from "@tunesmith/core";\nimport type {\n  y,\n} from "@tunesmith/native";\n',
    "packages/core/src/b.ts": 'const sdk = await import("@tunesmith/sdk");\n// import "@tunesmith/data"\n',
    "packages/new/src/c.ts": "",
  },
  [/data must not import @tunesmith\/native/, /core must not import @tunesmith\/sdk/, /new.*without a place/],
);

holds(
  "a package reaches another one by its name only",
  staysInside,
  {
    "packages/trainer/src/a.ts": 'import { x } from "../../data/src/mask.ts";\nimport { y } from "./b.ts";\n',
    "packages/native/src/binding.ts": 'import { z } from "../binding/index.cjs";\n',
    "packages/trainer/src/c.ts": 'export * from "../../native/binding/index.cjs";\n',
    "packages/native/src/f.test.ts": 'import { model } from "../test/fixture.ts";\n',
    "packages/sdk/src/d.test.ts": 'import { fake } from "../../trainer/src/testing/fake.ts";\n',
    "packages/sdk/src/e.ts": 'import { fake } from "../../trainer/src/testing/fake.ts";\n',
  },
  [/data\/src\/mask\.ts/, /native\/binding/, /e\.ts: must not import packages\/trainer\/src\/testing/],
);

holds(
  "the training loop imports no recipe, and its rooms form no circle",
  loopKnowsNoRecipe,
  {
    "packages/trainer/src/loop/a.ts":
      'import { x } from "../sft/recipe.ts";\nimport { y } from "../memory/estimate.ts";\nimport { z } from "./b.ts";\n',
    "packages/trainer/src/loop/c.ts": 'const dpo = await import("../dpo/step.ts");\nexport * from "../index.ts";\n',
    "packages/trainer/src/memory/d.ts": 'import type { Recipe } from "../loop/recipe.ts";\n',
    "packages/trainer/src/sft/e.ts": 'import { Trainer } from "../loop/trainer.ts";\n',
    "packages/trainer/src/loop/f.test.ts": 'import { fakeModel } from "../testing/fake-session.ts";\n',
  },
  [
    /loop\/a\.ts: loop must not import sft\/recipe/,
    /loop\/c\.ts: loop must not import dpo\/step/,
    /loop\/c\.ts: loop must not import index/,
    /memory\/d\.ts: memory must not import loop\/recipe/,
  ],
);

holds(
  "a package declares exactly what it imports",
  declaresWhatItImports,
  {
    "packages/data/package.json": '{ "name": "@tunesmith/data", "dependencies": { "zod": "4", "yaml": "2" } }',
    "packages/data/src/a.ts":
      'import { z } from "zod";\nimport { x } from "@tunesmith/core";\nimport { join } from "node:path";\n',
    "packages/data/src/a.test.ts": 'import { test } from "vitest";\n',
  },
  [/imports @tunesmith\/core without declaring/, /declares yaml without importing/],
);

holds(
  "zod is imported as a namespace",
  zodByNamespace,
  {
    "packages/core/src/a.ts": 'import { z } from "zod";\n',
    "packages/core/src/b.ts": 'import * as z from "zod";\nimport type { ZodType } from "zod";\n',
  },
  [/core\/src\/a\.ts: write import \* as z/],
);

holds(
  "installing runs no script",
  runsNothingAtInstall,
  {
    "packages/native/package.json":
      '{ "name": "@tunesmith/native", "scripts": { "postinstall": "node build.js", "build": "tsc" } }',
  },
  [/got postinstall/],
);

// No circle of files inside a crate: what a file uses never uses it back, on whatever way.
//
// A file uses another when it names one of its items: in a `use`, or in a path in its code (`crate::…`, `super::…`, a module
// that it declares or has imported). A re-export is a door and no use: whoever names `crate::product::Left` uses the file that
// defines `Left`, not the door. Tests are free. Methods that one type has in several files (`impl Cuda`) are not seen: rooms
// that share a type are kept apart by their names.
import { holds, type Rule, type Tree } from "./tree.ts";

/** A module: its file, the modules it declares, and the local names that stand for paths. */
interface Module {
  readonly file: string;
  readonly path: readonly string[];
  readonly children: ReadonlySet<string>;
  readonly doors: ReadonlyMap<string, readonly string[]>;
  readonly imports: ReadonlyMap<string, readonly string[]>;
  readonly code: string;
}

const crateOf = (path: string) => /^crates\/[^/]+\/src\//.exec(path)?.[0] ?? "";

/** `crates/cpu/src/product/f32.rs` is the module `product::f32`, `product/mod.rs` is `product`, `lib.rs` the root. */
const modulePath = (file: string) =>
  file
    .slice(crateOf(file).length)
    .replace(/\.rs$/, "")
    .split("/")
    .filter((name, index, all) => index < all.length - 1 || !["mod", "lib", "main"].includes(name));

const testModule = /#\[cfg\((?:test|all\(test,[^\]]*\))\)\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+)/g;

/** Code without comments, strings and the tests at the end. */
const shipped = (tree: Tree, file: string) =>
  tree
    .code(file)
    .replace(/#\[cfg\(test\)\]\s*mod \w+ \{[\s\S]*$/, "")
    .replaceAll(/"(?:\\[\s\S]|[^"\\])*"/g, '""');

/** Files of modules that exist in tests alone, and what lies below them. */
function testFiles(tree: Tree, files: readonly string[]): ReadonlySet<string> {
  const roots = files.flatMap((file) =>
    [...tree.code(file).matchAll(testModule)].map(([, name]) => [...modulePath(file), name].join("::")),
  );
  const inTests = (file: string) => roots.some((root) => `${modulePath(file).join("::")}::`.startsWith(`${root}::`));
  return new Set(files.filter(inTests));
}

/** The leaves of `a::{b, c::{d as e}}` as [local name, path]. */
function leaves(text: string, prefix: readonly string[] = []): [name: string, path: string[]][] {
  const open = text.indexOf("{");
  if (open < 0) {
    const [whole = "", alias] = text.trim().split(/\s+as\s+/);
    const path = [...prefix, ...whole.split("::").map((part) => part.trim())].filter((part) => part !== "");
    if (path.at(-1) === "self") path.pop();
    const last = path.at(-1);
    return last === undefined ? [] : [[alias?.trim() ?? last, path]];
  }
  const head = text.slice(0, open).split("::");
  const inner = text.slice(open + 1, text.lastIndexOf("}"));
  const parts: string[] = [""];
  let depth = 0;
  for (const char of inner) {
    depth += char === "{" ? 1 : char === "}" ? -1 : 0;
    if (char === "," && depth === 0) parts.push("");
    else parts[parts.length - 1] += char;
  }
  const below = [...prefix, ...head.map((part) => part.trim()).filter((part) => part !== "")];
  return parts.flatMap((part) => leaves(part, below));
}

const useOf = /^[ \t]*(pub(?:\([^)]*\))? )?use ([^;]+);/gm;

function moduleOf(file: string, code: string): Module {
  const path = modulePath(file);
  const children = new Set(
    [...code.matchAll(/^[ \t]*(?:pub(?:\([^)]*\))? )?mod (\w+);/gm)].map(([, name]) => name ?? ""),
  );
  const doors = new Map<string, readonly string[]>();
  const imports = new Map<string, readonly string[]>();
  for (const [, visible, text] of code.matchAll(useOf))
    for (const [name, leaf] of leaves(text ?? "")) {
      const target = absolute(path, children, leaf);
      if (target !== undefined) (visible === undefined ? imports : doors).set(name, target);
    }
  return { file, path, children, doors, imports, code: code.replaceAll(useOf, "") };
}

/** A path from the crate's root, or none where it leads out of the crate. */
function absolute(from: readonly string[], children: ReadonlySet<string>, path: readonly string[]) {
  const [first = "", ...rest] = path;
  if (first === "crate") return rest;
  if (first === "self") return [...from, ...rest];
  if (first === "super") {
    const ups = path.findIndex((part) => part !== "super");
    const count = ups < 0 ? path.length : ups;
    return [...from.slice(0, from.length - count), ...path.slice(count)];
  }
  return children.has(first) ? [...from, ...path] : undefined;
}

type Modules = ReadonlyMap<string, Module>;

/** The file that defines what a path names; none for a module itself. */
function definition(modules: Modules, path: readonly string[], seen = 0): string | undefined {
  let length = path.length;
  while (length > 0 && !modules.has(path.slice(0, length).join("::"))) length -= 1;
  const module = modules.get(path.slice(0, length).join("::"));
  const item = path[length];
  if (module === undefined || item === undefined) return undefined;
  const door = module.doors.get(item);
  if (door === undefined || seen > 8) return module.file;
  return definition(modules, [...door, ...path.slice(length + 1)], seen + 1);
}

const inlinePath = /(?<![\w:$])(?:(?:crate|self|super)|[a-z_]\w*)(?:::\w+)+/g;

/** The files that a module uses. */
function uses(modules: Modules, module: Module): Set<string> {
  const paths = [...module.imports.values()];
  for (const [text] of module.code.matchAll(inlinePath)) {
    const [first = "", ...rest] = text.split("::");
    const alias = module.imports.get(first);
    const path = alias === undefined ? absolute(module.path, module.children, [first, ...rest]) : [...alias, ...rest];
    if (path !== undefined) paths.push(path);
  }
  const files = paths.map((path) => definition(modules, path)).filter((file) => file !== undefined);
  return new Set(files.filter((file) => file !== module.file));
}

/** The sets of files of which each reaches each other (Tarjan 1972). */
function circles(edges: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node) ?? 0);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(node) !== index.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const node of [...edges.keys()].sort()) if (!index.has(node)) visit(node);
  return found;
}

const noCircleOfFiles: Rule = (tree) => {
  const files = tree.matching(/^crates\/[^/]+\/src\/.*\.rs$/);
  const tests = testFiles(tree, files);
  return [...new Set(files.map(crateOf))].sort().flatMap((crate) => {
    const own = files.filter((file) => crateOf(file) === crate && !tests.has(file));
    const modules = new Map(
      own.map((file) => moduleOf(file, shipped(tree, file))).map((module) => [module.path.join("::"), module]),
    );
    const edges = new Map([...modules.values()].map((module) => [module.file, uses(modules, module)]));
    return circles(edges).map(
      (circle) => `${crate}: a circle of ${circle.map((file) => file.slice(crate.length)).join(", ")}`,
    );
  });
};

holds(
  "no circle of files inside a crate",
  noCircleOfFiles,
  {
    "crates/cpu/src/lib.rs": "mod check;\nmod memory;\nmod product;\npub use memory::Buffer;\n",
    "crates/cpu/src/check.rs": "use crate::Buffer;\n",
    "crates/cpu/src/memory.rs":
      "use crate::{check, product::{Left as Factor}};\npub struct Buffer;\nfn f() { check::view(); }\n#[cfg(test)]\nmod tests {\n    use crate::product::Right;\n}\n",
    "crates/cpu/src/product/mod.rs":
      "mod left;\nmod right;\npub(crate) use left::Left;\npub(crate) use right::Right;\n",
    "crates/cpu/src/product/left.rs": "// use crate::Buffer;\npub struct Left;\n",
    "crates/cpu/src/product/right.rs": "use super::left::Left;\nuse crate::memory::Buffer;\npub struct Right;\n",
    "crates/text/src/lib.rs": "mod a;\nmod b;\n",
    "crates/text/src/a.rs": "fn f() { super::b::g(); }\n",
    "crates/text/src/b.rs": "fn g() { crate::a::f(); }\n",
  },
  [/cpu\/src\/: a circle of check\.rs, memory\.rs$/, /text\/src\/: a circle of a\.rs, b\.rs$/],
);

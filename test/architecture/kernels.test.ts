// Kernels: a page per stem, entry points that the launchers name, and no instruction set outside common/.
import { holds, places, type Rule, type Tree } from "./tree.ts";

const pages = (tree: Tree) => tree.matching(/^kernels\/[^/]+\.cu$/);
const stemOf = (path: string) => /([^/]+)\.\w+$/.exec(path)?.[1] ?? "";

/** `attention_backward.cu` belongs to the stem `attention`: the longest stem that its name begins with. */
function stemOfPage(tree: Tree, page: string): string | undefined {
  const stems = tree.matching(/^crates\/ops\/src\/[^/]+\.rs$/).map(stemOf);
  const name = stemOf(page);
  return stems
    .filter((stem) => name === stem || name.startsWith(`${stem}_`))
    .sort((a, b) => b.length - a.length)
    .at(0);
}

const pageBelongsToAStem: Rule = (tree) =>
  pages(tree).flatMap((page) => {
    const stem = stemOfPage(tree, page);
    if (stem === undefined) return [`${page}: expected a contract crates/ops/src/${stemOf(page)}.rs`];
    return [`crates/cuda/src/${stem}.rs`, `crates/conformance/src/${stem}.rs`]
      .filter((sibling) => !tree.has(sibling))
      .map((sibling) => `${page}: expected its sibling ${sibling}`);
  });

const pageHasItsParts: Rule = (tree) =>
  pages(tree).flatMap((page) => {
    const header = /^(?:\/\/.*\n)+/.exec(tree.text(page))?.[0] ?? "";
    const parts: [what: string, pattern: RegExp][] = [
      ["purpose (1.)", /^\/\/ 1\. /m],
      ["shapes (2.)", /^\/\/ 2\. /m],
      ["parallelisation (3.)", /^\/\/ 3\. /m],
      ["launch bounds (4.)", /^\/\/ 4\. Launch bounds: /m],
      ["bytes", /\d (?:k|M|G)B\b/],
      ["FLOPs", /\b[MGT]?FLOPs?\b(?!\/s)/],
      ["a floor in time", /\d (?:µs|ms)\b/],
      ["the ceiling of its floor", /\b3\.0 TB\/s|\b798 TFLOP\/s/],
      ["the shape of Llama-3.1-8B", /Llama/],
      ["the shape of Qwen2.5-0.5B", /Qwen/],
    ];
    const numbers = [...header.matchAll(/^\/\/ (\d)\. /gm)].map(([, number]) => Number(number));
    const inOrder = numbers.every((number, index) => number === index + 1);
    return [
      ...parts.filter(([, pattern]) => !pattern.test(header)).map(([what]) => `${page}: the page lacks ${what}`),
      ...(inOrder ? [] : [`${page}: expected parts 1, 2, 3, 4, got ${numbers.join(", ")}`]),
    ];
  });

const columns = 128;

const linesAreNarrow: Rule = (tree) =>
  tree.matching(/^kernels\/.+\.(?:cu|cuh|cpp|h)$/).flatMap((path) =>
    tree
      .text(path)
      .split("\n")
      .flatMap((line, index) =>
        [...line].length > columns
          ? [`${path}:${index + 1}: ${[...line].length} columns, the limit is ${columns}`]
          : [],
      ),
  );

/** Names of the entry points, as crates/cuda/build.rs reads them. */
const entryPoints = (tree: Tree) =>
  pages(tree).flatMap((page) =>
    [...tree.text(page).matchAll(/^[A-Z_]*KERNEL[A-Z_]*\((\w+)/gm)].map(([, name]) => ({ page, name: name ?? "" })),
  );

const launchers = (tree: Tree) =>
  tree.matching(/^crates\/cuda\/src\/.+\.rs$/).filter((path) => stemOf(path) !== "faults");

const entryPointsAreLaunched: Rule = (tree) => {
  const literals = new Set(
    launchers(tree).flatMap((path) => [...tree.text(path).matchAll(/"(\w+)"/g)].map(([, text]) => text ?? "")),
  );
  return entryPoints(tree)
    .filter(({ name }) => !literals.has(name))
    .map(({ page, name }) => `${page}: ${name} is never launched`);
};

const launchesExist: Rule = (tree) => {
  const names = new Set(entryPoints(tree).map(({ name }) => name));
  return launchers(tree).flatMap((path) =>
    [...tree.text(path).matchAll(/\.launch(?:_activations)?\(\s*"(\w+)"(?:,\s*"(\w+)")?/g)]
      .flatMap(([, first, second]) => [first, second])
      .filter((name) => name !== undefined && !names.has(name))
      .map((name) => `${path}: ${name} is no entry point of kernels/`),
  );
};

const forbidden =
  /\basm\b\s*(?:volatile)?\s*\(|\batomic[A-Z]\w*\(|\b__shared__\b|__activemask|cooperative_groups|\bthis_grid\b/;

/** What a kernel must not say outside common/: instructions, atomics, static shared memory, what the CPU cannot follow. */
const pagesKeepTheRules: Rule = (tree) =>
  pages(tree).flatMap((page) =>
    places(page, tree.text(page), forbidden).map((place) => `${place}: not in a kernel; see kernels/README.md`),
  );

holds(
  "a kernel page belongs to a stem with a launcher and a suite",
  pageBelongsToAStem,
  { "kernels/gelu.cu": "", "kernels/rope_wide.cu": "", "crates/ops/src/rope.rs": "", "crates/cuda/src/rope.rs": "" },
  [/gelu\.cu: expected a contract/, /rope_wide\.cu: expected its sibling crates\/conformance\/src\/rope\.rs/],
);

holds(
  "a kernel page opens with its parts",
  pageHasItsParts,
  {
    "kernels/rope.cu":
      "// RoPE.\n// 1. Purpose.\n// 2. Shapes.\n// 3. Work: 5 MB, 2 µs at 3.0 TB/s, 1 FLOP an element for Llama and Qwen.\n//\n// 4. Launch bounds: 32 threads.\nint x;\n",
    "kernels/b.cu": "// 1. A.\n// 2. B.\n// 3. Llama, Qwen: 5 MB, 2 µs.\n// 5. Launch bounds: none.\n",
    "kernels/a.cu": "// 1. Purpose.\n",
  },
  [
    /b\.cu: the page lacks launch bounds/,
    /b\.cu: the page lacks FLOPs/,
    /b\.cu: the page lacks the ceiling/,
    /b\.cu: expected parts 1, 2, 3, 4, got 1, 2, 3, 5/,
    /a\.cu: the page lacks shapes/,
    /a\.cu: the page lacks parallelisation/,
    /a\.cu: the page lacks launch bounds/,
    /a\.cu: the page lacks bytes/,
    /a\.cu: the page lacks FLOPs/,
    /a\.cu: the page lacks a floor/,
    /a\.cu: the page lacks the ceiling/,
    /a\.cu: the page lacks the shape of Llama/,
    /a\.cu: the page lacks the shape of Qwen/,
  ],
);

holds(
  `a line of kernels/ has at most ${columns} columns`,
  linesAreNarrow,
  { "kernels/common/a.cuh": `// ${"µ".repeat(columns - 3)}\n// ${"µ".repeat(columns - 2)}\n` },
  [/a\.cuh:2: 129 columns/],
);

holds(
  "every entry point is launched",
  entryPointsAreLaunched,
  {
    "kernels/rope.cu":
      "#define KERNEL_A(name, T) EXPORT_KERNEL(name, 1)\nKERNEL_A(rope_f32, float)\nKERNEL(rope_other, 32)(int n) {}\n",
    "crates/cuda/src/rope.rs": 'self.launch("rope_f32")',
  },
  [/rope_other is never launched/],
);

holds(
  "every launch names an entry point",
  launchesExist,
  {
    "kernels/rope.cu": "KERNEL(rope_f32, 32)(int n) {}\n",
    "crates/cuda/src/rope.rs": 'self.launch("rope_f32"); self.launch_activations("rope_f32", "rope_bf16")',
  },
  [/rope_bf16 is no entry point/],
);

holds(
  "kernels use the wrappers of common/",
  pagesKeepTheRules,
  { "kernels/rope.cu": "__shared__ float x[32];\natomicAdd(&x[0], 1.0f);\n// No atomic addition here.\n" },
  [/rope\.cu:1/, /rope\.cu:2/],
);

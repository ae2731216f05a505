// An op is a stem: knowing its name, one knows its files.
import { holds, type Rule, type Tree } from "./tree.ts";

/** Files of crates/ops that hold nouns, not ops. */
const nouns = new Set(["lib", "check", "dtype", "dynamic_map", "error", "memory", "philox"]);

const stemOf = (path: string) => /([^/]+)\.rs$/.exec(path)?.[1] ?? "";
const contracts = (tree: Tree) =>
  tree.matching(/^crates\/ops\/src\/[^/]+\.rs$/).filter((path) => !nouns.has(stemOf(path)));

const hasItsSiblings: Rule = (tree) =>
  contracts(tree).flatMap((contract) => {
    const stem = stemOf(contract);
    const folders = ["crates/cpu/src", "crates/conformance/src", "benchmarks/kernels"];
    return folders
      .map((folder) => `${folder}/${stem}.rs`)
      .filter((sibling) => !tree.has(sibling))
      .map((sibling) => `${contract}: expected its sibling ${sibling}`);
  });

const benchmarksAreStems: Rule = (tree) =>
  tree
    .matching(/^benchmarks\/kernels\/[^/]+\.rs$/)
    .filter((path) => stemOf(path) !== "main" && !tree.has(`crates/ops/src/${stemOf(path)}.rs`))
    .map((path) => `${path}: expected a contract crates/ops/src/${stemOf(path)}.rs`);

const parts: [what: string, pattern: RegExp][] = [
  ["a trait", /^pub trait \w+/m],
  ["its tolerance", /^\/\/\/.*\btolerance\b/im],
  ["its edge sizes", /^\/\/\/.*\bedge sizes\b/im],
  ["a float64 reference", /\breference\b[\s\S]*\bf64\b/],
];

/** A contract's file and those of its folder, which may hold the reference. */
const textsOf = (tree: Tree, contract: string) =>
  [contract, ...tree.paths.filter((path) => path.startsWith(contract.replace(/\.rs$/, "/")))]
    .map((path) => tree.text(path))
    .join("\n");

const contractIsComplete: Rule = (tree) =>
  contracts(tree).flatMap((path) =>
    parts
      .filter(([, pattern]) => !pattern.test(textsOf(tree, path)))
      .map(([what]) => `${path}: the contract lacks ${what}`),
  );

holds(
  "a stem has its contract, CPU, conformance and benchmark siblings",
  hasItsSiblings,
  {
    "crates/ops/src/lib.rs": "",
    "crates/ops/src/rope.rs": "",
    "crates/cpu/src/rope.rs": "",
    "benchmarks/kernels/rope.rs": "",
  },
  [/rope\.rs: expected its sibling crates\/conformance\/src\/rope\.rs/],
);

holds(
  "a kernel benchmark belongs to a stem",
  benchmarksAreStems,
  { "benchmarks/kernels/main.rs": "", "benchmarks/kernels/gelu.rs": "" },
  [/expected a contract crates\/ops\/src\/gelu\.rs/],
);

holds(
  "a contract names shapes, tolerance, edge sizes and its reference",
  contractIsComplete,
  {
    "crates/ops/src/rope.rs":
      "/// Tolerance f32: 1e-6.\npub trait Rope {}\n/// The reference.\npub fn rope(x: &[f64]) {}\n",
    "crates/ops/src/swiglu.rs": "/// Tolerance f32: 1e-6. Edge sizes 1.\npub trait Swiglu {}\n",
    "crates/ops/src/swiglu/reference.rs": "//! The reference.\npub fn swiglu(x: &[f64]) {}\n",
  },
  [/rope\.rs: the contract lacks its edge sizes/],
);

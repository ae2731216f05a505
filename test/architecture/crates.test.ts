// Which crate may use which: DESIGN's directions, read from the manifests.
import { holds, type Rule, type Tree } from "./tree.ts";

/** Crate → the crates of ours it may depend on. Tests inside a crate (`dev-dependencies`) are free. */
const edges: Record<string, readonly string[]> = {
  ops: [],
  cpu: ["ops"],
  cuda: ["ops"],
  formats: ["ops"],
  text: ["formats"],
  similarity: [],
  engine: ["ops", "formats"],
  conformance: ["ops", "cpu", "cuda", "formats", "engine"],
  node: ["ops", "cpu", "cuda", "formats", "similarity", "text", "engine"],
};

/** Names in the `[dependencies]` and `[build-dependencies]` tables of a manifest. */
function dependencies(manifest: string): string[] {
  const names: string[] = [];
  let table = "";
  for (const line of manifest.split("\n")) {
    table = /^\[(.+)\]\s*$/.exec(line)?.[1] ?? table;
    const nested = /^(?:build-)?dependencies\.(\S+)$/.exec(table)?.[1];
    if (nested !== undefined && line.startsWith("[")) names.push(nested);
    const plain = /^([\w-]+)(?:\.workspace)?\s*=/.exec(line)?.[1];
    if (/^(?:build-)?dependencies$/.test(table) && plain !== undefined) names.push(plain);
  }
  return names;
}

const crateOf = (path: string) => /^crates\/([^/]+)\//.exec(path)?.[1] ?? "";
const manifests = (tree: Tree) => tree.matching(/^crates\/[^/]+\/Cargo\.toml$/);

const onlyAllowedEdges: Rule = (tree) =>
  manifests(tree).flatMap((path) => {
    const allowed = edges[crateOf(path)];
    if (allowed === undefined)
      return [`${path}: a crate without a place; name its directions in ARCHITECTURE.md and here`];
    return dependencies(tree.text(path))
      .filter((name) => name.startsWith("tunesmith-") && !allowed.includes(name.slice("tunesmith-".length)))
      .map((name) => `${path}: ${crateOf(path)} must not depend on ${name}`);
  });

const opsImportsNothing: Rule = (tree) =>
  manifests(tree)
    .filter((path) => crateOf(path) === "ops")
    .flatMap((path) =>
      dependencies(tree.text(path)).map((name) => `${path}: the contracts depend on nothing, got ${name}`),
    );

const sharesTheLints: Rule = (tree) =>
  manifests(tree)
    .filter((path) => !/\[lints\]\s+workspace = true/.test(tree.text(path)))
    .map((path) => `${path}: expected \`[lints] workspace = true\``);

holds(
  "a crate depends only on the crates its room may see",
  onlyAllowedEdges,
  {
    "crates/cpu/Cargo.toml": "[dependencies]\ntunesmith-ops.workspace = true\ntunesmith-engine.workspace = true\n",
    "crates/engine/Cargo.toml": "[dev-dependencies]\ntunesmith-cpu.workspace = true\n",
    "crates/extra/Cargo.toml": "",
    "crates/text/Cargo.toml": "[dependencies.tunesmith-ops]\npath = '../ops'\n",
  },
  [/cpu must not depend on tunesmith-engine/, /extra.*without a place/, /text must not depend on tunesmith-ops/],
);

holds(
  "the contracts depend on nothing",
  opsImportsNothing,
  { "crates/ops/Cargo.toml": '[dependencies]\nhalf = "2"\n' },
  [/got half/],
);

holds("every crate has the workspace's lints", sharesTheLints, { "crates/ops/Cargo.toml": "[package]\n" }, [
  /\[lints\]/,
]);

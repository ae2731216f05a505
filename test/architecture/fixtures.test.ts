// Every golden value has a birth certificate: who computed it, from which seed, with which libraries.
import { posix } from "node:path";
import { holds, type Rule } from "./tree.ts";

const certificate = /\/(?:README\.md|case\.json|run\.json|birth\.json|[^/]+\.json)$/;
const entries: [what: string, pattern: RegExp][] = [
  ["its generator", /generat(?:or|ed by)/i],
  ["its seed", /\bseed\b/i],
  ["library versions", /versions?\b|\b(?:torch|transformers|tokenizers|gguf|numpy)\W{1,6}\d+\.\d+/i],
];

/** The folders that hold one golden case each: the second level below test/fixtures, generators apart. */
const fixturesAreCertified: Rule = (tree) => {
  const paths = tree.matching(/^test\/fixtures\/(?!generate\/)[^/]+\/./);
  const folders = new Set(
    paths
      .map((path) => path.split("/").slice(0, 4))
      .map((parts) =>
        parts.length > 3 && paths.includes(parts.join("/")) ? posix.dirname(parts.join("/")) : parts.join("/"),
      ),
  );
  return [...folders].flatMap((folder) => {
    // A case may lean on the certificate of the group it stands in.
    const near = [...paths.filter((path) => path.startsWith(`${folder}/`)), `${posix.dirname(folder)}/README.md`];
    const text = near
      .filter((path) => certificate.test(path) && tree.has(path))
      .map((path) => tree.text(path).slice(0, 20_000))
      .join("\n");
    return entries.filter(([, pattern]) => !pattern.test(text)).map(([what]) => `${folder}: names nowhere ${what}`);
  });
};

holds(
  "a fixture names its generator, seed and library versions",
  fixturesAreCertified,
  {
    "test/fixtures/generate/all.py": "",
    "test/fixtures/goldens/llama/case.json": '{ "generator": "a.py", "seed": 1, "versions": { "torch": "2" } }',
    "test/fixtures/goldens/qwen2/case.json": '{ "generator": "a.py", "versions": { "torch": "2" } }',
  },
  [/goldens\/qwen2: names nowhere its seed/],
);

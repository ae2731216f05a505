// The ignored label is decided in one place per language.
import { holds, places, type Rule, withoutTests } from "./tree.ts";

const homes = new Set(["packages/data/src/encode/mask.ts", "crates/ops/src/cross_entropy.rs"]);
const ignoredLabel = /(?<![\w)\].])-\s*100\b(?![.\d])/;

const ignoredLabelHasOneHome: Rule = (tree) =>
  tree
    .matching(/^(?:crates\/(?!conformance\/)[^/]+\/src|packages\/[^/]+\/src)\/.*\.(?:rs|ts)$/)
    .filter((path) => !homes.has(path) && !/\.test\.ts$|\/testing\/|\/tests?(?:\/|\.rs$)/.test(path))
    .flatMap((path) =>
      places(path, withoutTests(tree.code(path)), ignoredLabel).map(
        (place) => `${place}: use the constant of ${[...homes].join(" or ")}`,
      ),
    );

holds(
  "the ignored label is written in data's mask and the cross_entropy contract only",
  ignoredLabelHasOneHome,
  {
    "packages/data/src/encode/mask.ts": "export const ignored = -100;\n",
    "packages/data/src/pack/collate.ts": "labels.fill(-100);\nconst x = y - 1000;\n",
    "crates/engine/src/loss.rs": "let n = a.len()-100;\n#[cfg(test)]\nmod tests { const A: i32 = -100; }\n",
  },
  [/collate\.ts:1/],
);

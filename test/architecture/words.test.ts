// Words that a reader of this field would have to translate, and what to write instead: the table "Words" of CONTRIBUTING.md.
import { holds, places, type Rule } from "./tree.ts";

const refused: readonly [pattern: RegExp, write: string][] = [
  // Where IEEE 754 itself argues, its names are right.
  [/\bbinary(?:32|64)\b(?!.*IEEE)(?<!IEEE.*)/i, "float32, float64"],
  // What is left behind, and what hides behind a trait or a wrapper, is a place.
  [
    /(?<!\b(?:left|leaves?|leaving)\b.{0,16})\bbehind\b(?! (?:one|an?|its) (?:trait|wrapper|interface|flag)\b)/i,
    "after",
  ],
  [/\bmend(?:s|ed|ing)?\b/i, "fix"],
  [/\banew\b/i, "again, or from scratch"],
  [/\b(?:nobody|everybody)\b/i, "who does or does not"],
  [/\b(?:that|which) (?:is|are) none\b/i, "what is wrong with it"],
  [/\bnumbers that are trained\b|\bnumbers in the model\b/i, "trainable parameters, parameters of the base model"],
];

/** Where the old words are meant: this rule and what customers write. */
const quoted = /^(?:test\/architecture\/words\.test\.ts|examples\/quickstart\/phrases\.ts)$/;

const wordsAreTheFields: Rule = (tree) =>
  tree
    .matching(/\.(?:rs|ts|mts|mjs|py|cu|cuh|cpp|h|md)$/)
    .filter((path) => !quoted.test(path))
    .flatMap((path) => {
      const text = tree.text(path);
      // The table of CONTRIBUTING.md names them.
      const read =
        path === "CONTRIBUTING.md"
          ? text.replace(/## Words[\s\S]*?\n(?=## )/, (part) => part.replaceAll(/[^\n]/g, ""))
          : text;
      return refused.flatMap(([pattern, write]) =>
        places(path, read, pattern).map((place) => `${place}: expected ${write}; see "Words" in CONTRIBUTING.md`),
      );
    });

holds(
  "sources and documents use the field's words",
  wordsAreTheFields,
  {
    "CONTRIBUTING.md": "## Words\n| fix | mend |\n## Commits\nNobody reads these.\n",
    "crates/ops/src/a.rs": "/// Sums in binary32.\n/// IEEE 754 binary32.\n",
    "crates/cpu/src/b.rs":
      "//! Instruction sets behind one trait; nothing is left behind.\n// The norm behind the block.\n",
    "packages/data/src/c.ts":
      'throw new Error("[a] expected text, got a file that is none; mend the file");\n// Made anew.\n',
  },
  [
    /CONTRIBUTING\.md:4: expected who/,
    /a\.rs:1: expected float32/,
    /b\.rs:2: expected after/,
    /c\.ts:1: expected fix/,
    /c\.ts:2: expected again/,
    /c\.ts:1: expected what is wrong/,
  ],
);

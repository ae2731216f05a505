// What holds for every source file.
import { holds, places, type Rule } from "./tree.ts";

const limit = 600;
/** Files that may be longer, each with its reason. */
const longFiles: Record<string, string> = {};

const source = /\.(?:rs|ts|mts|mjs|py|cu|cuh|cpp|h)$/;

const filesAreShort: Rule = (tree) =>
  tree
    .matching(source)
    .filter((path) => !(path in longFiles))
    .map((path) => ({ path, lines: tree.text(path).split("\n").length - 1 }))
    .filter(({ lines }) => lines > limit)
    .map(({ path, lines }) => `${path}: ${lines} lines, the limit is ${limit}; which room is really two?`);

const filesSayWhatTheyHold: Rule = (tree) =>
  tree
    .matching(/^(?:packages|examples|scripts|benchmarks|test)\/.*\.(?:ts|mts|mjs)$/)
    .filter((path) => !/\.test\.ts$/.test(path))
    .filter((path) => !/^(?:#!.*\n)?\/\/ \S/.test(tree.text(path)))
    .map((path) => `${path}: expected a first line "// …" that says what the file holds`);

const unfinished: [name: string, pattern: RegExp][] = [
  ["a stub", /\b(?:todo|unimplemented)!\s*\(/],
  ["a test switched off", /\b(?:it|test|describe)\.(?:skip|only|todo|fails)\(|#\[ignore\b/],
  ["a note to self", /(?:\/\/|\/\*|#)\s*(?:TODO|FIXME|XXX|HACK)\b/],
];

const nothingUnfinished: Rule = (tree) =>
  tree
    .matching(source)
    .flatMap((path) =>
      unfinished.flatMap(([name, pattern]) =>
        places(path, tree.text(path), pattern).map((place) => `${place}: ${name}`),
      ),
    );

/** Tests are written with `test`, so that one word finds them all. */
const testsAreTests: Rule = (tree) =>
  tree
    .matching(/\.test\.m?ts$/)
    .flatMap((path) =>
      places(path, tree.code(path), /^\s*it(?:\.\w+)*\(/).map((place) => `${place}: expected test(…)`),
    );

const ofOneMachine = /(?:^|[\s"'`(=])\/(?:home|Users|root)\/\w/;

const noPathOfOneMachine: Rule = (tree) =>
  tree
    .matching(/\.(?:rs|ts|mts|mjs|py|md|json|ya?ml|toml|jinja)$|^\.ci\//)
    .filter((path) => path !== "package-lock.json" && !path.startsWith("test/fixtures/"))
    .flatMap((path) => places(path, tree.text(path), ofOneMachine).map((place) => `${place}: a path of one machine`));

holds(
  `a source file has at most ${limit} lines`,
  filesAreShort,
  { "crates/cpu/src/a.rs": "x\n".repeat(limit + 1), "crates/cpu/src/b.rs": "x\n".repeat(limit) },
  [/a\.rs: 601 lines/],
);

holds(
  "a TypeScript file begins with a sentence about itself",
  filesSayWhatTheyHold,
  {
    "packages/data/src/a.ts": "/** One row. */\nexport interface Row {}\n",
    "packages/data/src/b.ts": '// Reads rows.\nimport "x";\n',
    "packages/data/src/b.test.ts": 'import "x";\n',
    "scripts/c.mjs": "#!/usr/bin/env node\n// Cleans.\n",
    "crates/node/index.d.ts": "export {};\n",
  },
  [/packages\/data\/src\/a\.ts: expected/],
);

holds(
  "nothing is a stub, and no test is switched off",
  nothingUnfinished,
  {
    "crates/cpu/src/a.rs": `fn a() { ${"to"}do!() }\n#[${"ign"}ore]\n`,
    "packages/data/src/a.test.ts": `test.${"sk"}ip("x", f);\ntest.skipIf(missing)("y", f);\n// ${"TO"}DO: later\n`,
  },
  [/a\.rs:1: a stub/, /a\.rs:2: a test switched off/, /a\.test\.ts:1: a test/, /a\.test\.ts:3: a note/],
);

holds(
  "tests are written with `test`",
  testsAreTests,
  { "packages/data/src/a.test.ts": 'test("a", f);\nit("b", f);\n  it.each(rows)("c", f);\n// it("d")\nemit(x);\n' },
  [/a\.test\.ts:2/, /a\.test\.ts:3/],
);

holds("no file names a path of one machine", noPathOfOneMachine, { "README.md": `see ${"/ho"}me/ada/model\n` }, [
  /README\.md:1/,
]);

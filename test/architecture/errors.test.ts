// Every error class that a user may catch is raised by a test.
import { holds, type Rule } from "./tree.ts";

const home = "packages/core/src/errors.ts";

const everyErrorIsRaised: Rule = (tree) => {
  const classes = [...tree.text(home).matchAll(/^export class (\w+) extends TunesmithError/gm)].map(
    (match) => match[1] ?? "",
  );
  // Imports do not raise anything.
  const tests = tree
    .matching(/^(?:packages|test|examples)\/.*\.test\.ts$/)
    .filter((path) => !path.startsWith("test/architecture/"))
    .map((path) => tree.code(path).replaceAll(/^import[\s\S]*?from "[^"]+";$/gm, ""));
  return classes
    .filter((name) => !tests.some((text) => new RegExp(`\\b${name}\\b`).test(text)))
    .map((name) => `${home}: no test raises ${name}`);
};

holds(
  "every error class has a test that raises it",
  everyErrorIsRaised,
  {
    [home]: "export class DataError extends TunesmithError {}\nexport class AbortError extends TunesmithError {}\n",
    "packages/data/src/a.test.ts": 'import { AbortError } from "@tunesmith/core";\nexpect(f).toThrow(DataError);\n',
  },
  [/no test raises AbortError/],
);

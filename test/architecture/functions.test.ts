// Functions are short enough to be read without scrolling.
import ts from "typescript";
import { holds, type Rule, withoutLiterals } from "./tree.ts";

const limit = 60;

/** A function with a body: its name, the line on which it begins, and how many lines it takes, signature included. */
interface Measured {
  name: string;
  line: number;
  lines: number;
}

const lineOf = (text: string, offset: number) => text.slice(0, offset).split("\n").length;

/** Where the bracket at `start` is closed; the end of `code` when it never is. */
function closing(code: string, start: number): number {
  let depth = 0;
  for (let at = start; at < code.length; at += 1) {
    if ("([{".includes(code[at] ?? "")) depth += 1;
    else if (")]}".includes(code[at] ?? "")) depth -= 1;
    if (depth === 0) return at;
  }
  return code.length;
}

/** The functions of a Rust file, those inside functions and tests too. */
function rustFunctions(text: string): Measured[] {
  const code = withoutLiterals(text);
  return [...code.matchAll(/\bfn\s+(\w+)/g)].flatMap((match) => {
    let at = match.index;
    // A signature ends at its body or, in a trait, at a semicolon; those inside its brackets are types.
    while (at < code.length && !"{;".includes(code[at] ?? ""))
      at = "([".includes(code[at] ?? "") ? closing(code, at) + 1 : at + 1;
    if (code[at] !== "{") return [];
    const line = lineOf(code, match.index);
    return [{ name: match[1] ?? "", line, lines: lineOf(code, closing(code, at)) - line + 1 }];
  });
}

/** The groups of tests that `describe` takes are lists, not functions. */
const isGroup = (node: ts.Node) =>
  ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText());

/** The functions of a TypeScript or JavaScript file, those inside functions too. */
function scriptFunctions(path: string, text: string): Measured[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Measured[] = [];
  const visit = (node: ts.Node) => {
    if (ts.isFunctionLike(node) && "body" in node && node.body !== undefined && !isGroup(node)) {
      const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
      const last = file.getLineAndCharacterOfPosition(node.end).line + 1;
      const name = (node.name ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name : undefined))?.getText();
      found.push({ name: name ?? "a function", line, lines: last - line + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

const functionsAreShort: Rule = (tree) =>
  tree.matching(/\.(?:rs|ts|mts|mjs)$/).flatMap((path) => {
    const text = tree.text(path);
    return (path.endsWith(".rs") ? rustFunctions(text) : scriptFunctions(path, text))
      .filter(({ lines }) => lines > limit)
      .map(({ name, line, lines }) => `${path}:${line}: ${name} has ${lines} lines, the limit is ${limit}`);
  });

const body = (lines: number) => "  f();\n".repeat(lines - 2);

holds(
  `a function has at most ${limit} lines`,
  functionsAreShort,
  {
    "crates/cpu/src/a.rs": `fn fits(x: [u8; 2]) -> u8 {\n${body(limit)}}\nfn long() -> char {\n  '{';\n${body(limit)}}\nfn bare();\n`,
    "packages/data/src/a.ts": `const fits = (): { a: number } => {\n${body(limit)}};\nclass A {\n  long() {\n${body(limit + 1)}  }\n}\n`,
    "scripts/a.mjs": `describe("a", () => {\n${body(limit + 1)}});\ntest("a", () => {\n${body(limit + 1)}});\n`,
  },
  [/a\.rs:61: long has 61/, /a\.ts:62: long has 61/, /a\.mjs:62: a function has 61/],
);

// The files a rule looks at, and the two tests every rule gets: it holds here, and it notices when it is broken.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

export const root: string = join(import.meta.dirname, "../..");

/** Paths relative to the root, with `/`, and what the files hold. */
export class Tree {
  readonly paths: readonly string[];
  readonly #read: (path: string) => string;
  readonly #texts = new Map<string, string>();

  constructor(paths: readonly string[], read: (path: string) => string) {
    this.paths = paths;
    this.#read = read;
  }

  /** What git knows of, and what it would add: no build product. */
  static real(): Tree {
    const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
    const paths = listed.toString().split("\0");
    return new Tree(paths.filter((path) => path !== "" && existsSync(join(root, path))).sort(), (path) =>
      readFileSync(join(root, path), "utf8"),
    );
  }

  static of(files: Record<string, string>): Tree {
    return new Tree(Object.keys(files), (path) => files[path] ?? "");
  }

  matching(pattern: RegExp): string[] {
    return this.paths.filter((path) => pattern.test(path));
  }

  has(path: string): boolean {
    return this.paths.some((known) => known === path || known.startsWith(`${path.replace(/\/$/, "")}/`));
  }

  text(path: string): string {
    const known = this.#texts.get(path);
    if (known !== undefined) return known;
    const text = this.#read(path);
    this.#texts.set(path, text);
    return text;
  }

  /** The text without comments; every line keeps its number. */
  code(path: string): string {
    return withoutComments(this.text(path));
  }
}

const commentOrLiteral =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|\br(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\.[^'\n]*|[^'\\\n])'|`(?:\\[\s\S]|[^`\\])*`/g;

/** Rust or TypeScript with its comments blanked. */
export function withoutComments(text: string): string {
  return text.replaceAll(commentOrLiteral, (match) =>
    /^\/[/*]/.test(match) ? match.replaceAll(/[^\n]/g, " ") : match,
  );
}

/** Rust with its comments, strings and characters blanked: the brackets that are left pair up. */
export function withoutLiterals(text: string): string {
  return text.replaceAll(commentOrLiteral, (match) => match.replaceAll(/[^\n]/g, " "));
}

/** Rust without the tests at the end of a file. */
export function withoutTests(text: string): string {
  return text.replace(/#\[cfg\(test\)\]\s*mod [\s\S]*$/, "");
}

/** `path:line` of every match. */
export function places(path: string, text: string, pattern: RegExp): string[] {
  return text.split("\n").flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : []));
}

/** Breaches of a rule, one line each, naming file and reason. */
export type Rule = (tree: Tree) => string[];

const here = Tree.real();

/**
 * Tests that `rule` holds in this repository and that it finds `breach` in files made up to break it.
 *
 * `breaks` lists the made-up files; `breach` is what the rule must say about them, and about nothing else.
 */
export function holds(title: string, rule: Rule, breaks: Record<string, string>, breach: readonly RegExp[]): void {
  test(title, () => {
    expect(rule(here)).toEqual([]);
  });
  test(`${title}: a breach is noticed`, () => {
    const found = rule(Tree.of(breaks));
    expect(found).toHaveLength(breach.length);
    for (const [index, pattern] of breach.entries()) expect(found[index]).toMatch(pattern);
  });
}

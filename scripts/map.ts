// npm run map [-- FOLDER]: every source file, or those below a folder, with the sentence it says about itself.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..");

const isSource = (path: string) =>
  /^(?:crates|kernels|packages|examples|benchmarks|scripts|test)\/.*\.(?:rs|ts|mjs|py|cu|cuh|cpp|h)$/.test(path) &&
  !/\.test\.ts$/.test(path);

// By code unit: the same order in every locale.
const compare = (a: string, b: string) => Number(a > b) - Number(a < b);

/** Paths of the sources, tests apart, folder by folder. */
function sources(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  return listed
    .toString()
    .split("\0")
    .filter((path) => isSource(path) && existsSync(join(root, path)))
    .map((path) => ({ path, folder: posix.dirname(path) }))
    .sort((a, b) => compare(a.folder, b.folder) || compare(a.path, b.path))
    .map(({ path }) => path);
}

const headers: Record<string, RegExp> = {
  ".rs": /^\/\/! ?(.*(?:\n\/\/! ?.+)*)/,
  ".py": /^(?:#.*\n)*"""([\s\S]*?)"""/,
};
const scriptHeader = /^(?:#!.*\n)?\/\/ (.*(?:\n\/\/ .+)*)/;

/** The first sentence a source says about itself; undefined when it says nothing. */
export function firstSentence(path: string, text: string): string | undefined {
  const flat = (headers[posix.extname(path)] ?? scriptHeader)
    .exec(text)?.[1]
    ?.replaceAll(/^\s*\/\/!?/gm, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return flat?.split(/(?<=[.?])\s+(?=[A-Z`"'(])/)[0]?.replace(/(?<![.?])$/, ".");
}

/** Every source below a folder with its first sentence, folder by folder. */
export function fileList(below: string): string {
  const lines: string[] = [];
  let folder = "";
  for (const path of sources().filter((source) => source.startsWith(below))) {
    const parent = posix.dirname(path);
    if (parent !== folder) lines.push("", `\`${parent}/\``);
    folder = parent;
    const sentence = firstSentence(path, readFileSync(join(root, path), "utf8")) ?? "";
    lines.push(`- \`${posix.basename(path)}\` ${sentence}`.trimEnd());
  }
  return lines.join("\n").trim();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const folder = process.argv[2]?.replace(/^\.\//, "") ?? "";
  const list = fileList(folder);
  if (list === "") {
    console.error(
      `[npm run map] expected a folder with sources, got ${folder}; give its path from the root, such as crates/engine`,
    );
    process.exitCode = 2;
  } else console.log(list);
}

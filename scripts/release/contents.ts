// What a tarball must and must not hold, read from the list of its files.
import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { binaryOf } from "./build.ts";
import type { Packed } from "./pack.ts";
import type { Manifest } from "./packages.ts";
import { packedLimit, targetOf } from "./targets.ts";

/** Bytes that a tarball without a binary may have. */
const codeLimit = 1e6;

/** Whether a package of a platform has no binary: it was packed on a machine of another kind, and must not be published. */
export const isHollow = ({ triple, files }: Packed): boolean => triple !== null && !files.includes(binaryOf(triple));

/**
 * What is wrong with a tarball.
 *
 * @param staged folder with the same files
 */
export function contentFaults(packed: Packed, staged: string): string[] {
  const { name, files, size, triple } = packed;
  const manifest = JSON.parse(readFileSync(join(staged, "package.json"), "utf8")) as Manifest;
  const has = new Set(files);
  const limit = triple === null ? codeLimit : packedLimit(targetOf(triple));
  return [
    ...["package.json", "README.md", "LICENSE"].filter((path) => !has.has(path)).map((path) => `${name} lacks ${path}`),
    ...files
      .filter((path) => /\.test\.|(?:^|\/)testing?\//.test(path))
      .map((path) => `${name} holds ${path}, a test's`),
    ...named(manifest)
      .filter((path) => !has.has(path))
      .map((path) => `${name} names ${path}, which is not packed`),
    ...files
      .filter((path) => path.endsWith(".map"))
      .flatMap((path) => mapFaults(path, staged, has).map((fault) => `${name}: ${fault}`)),
    ...files
      .filter((path) => path.endsWith(".js"))
      .flatMap((path) => lostMap(path, staged, has).map((fault) => `${name}: ${fault}`)),
    ...(size <= limit ? [] : [`${name} has ${size} bytes, the limit is ${limit}`]),
  ];
}

/** Files that a manifest names. */
function named({ exports = {}, bin = {} }: Manifest): string[] {
  const entries = Object.values(exports).flatMap(({ types, default: code }) => [types, code]);
  return [...entries, ...Object.values(bin)].map((path) => posix.normalize(path));
}

/** Sources of a map that are neither in it nor packed. */
function mapFaults(path: string, staged: string, has: ReadonlySet<string>): string[] {
  const { sources, sourcesContent = [] } = JSON.parse(readFileSync(join(staged, path), "utf8")) as {
    sources: string[];
    sourcesContent?: (string | null)[];
  };
  return sources
    .filter((source, index) => sourcesContent[index] == null && !has.has(posix.join(posix.dirname(path), source)))
    .map((source) => `${path} points at ${source}, which is not packed`);
}

/** A map that code names and that is not packed. */
function lostMap(path: string, staged: string, has: ReadonlySet<string>): string[] {
  const [, map] = /^\/\/# sourceMappingURL=(\S+)\s*$/m.exec(readFileSync(join(staged, path), "utf8")) ?? [];
  if (map === undefined || has.has(posix.join(posix.dirname(path), map))) return [];
  return [`${path} names the source map ${map}, which is not packed`];
}

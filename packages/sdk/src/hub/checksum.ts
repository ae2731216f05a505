// Whether a file of the cache holds what its name says: computed once, then remembered beside it.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { fileOperation } from "@tunesmith/core";

/** Whether the bytes have a checksum: SHA-256, or git's SHA-1 of a header and the bytes. */
export async function hasDigest(path: string, digest: string): Promise<boolean> {
  return fileOperation("read", path, async () => {
    const isGit = digest.length === 40;
    const hash = createHash(isGit ? "sha1" : "sha256");
    if (isGit) hash.update(`blob ${(await stat(path)).size}\0`);
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
    return hash.digest("hex") === digest;
  });
}

/**
 * Whether a blob that is in the cache holds what its name says. That is computed once: a file next to it keeps its size and the times of
 * its last change, after which it is computed again. False also where there is no such file.
 *
 * @param path its name is its checksum
 */
export async function isWholeBlob(path: string, digest: string): Promise<boolean> {
  const state = await stateOf(path);
  if (state === null) return false;
  if ((await readFile(verifiedName(path), "utf8").catch(() => "")) === state) return true;
  if (!(await hasDigest(path, digest))) return false;
  await remember(path, state);
  return true;
}

/** Remembers that a blob was found good as it is now. */
export async function rememberBlob(path: string): Promise<void> {
  const state = await stateOf(path);
  if (state !== null) await remember(path, state);
}

/** Where it is remembered. */
function verifiedName(path: string): string {
  return `${path}.tunesmith-verified`;
}

/** A cache that cannot be written is checked every time. */
async function remember(path: string, state: string): Promise<void> {
  await writeFile(verifiedName(path), state).catch(() => {});
}

async function stateOf(path: string): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null);
  return found?.isFile() ? `${found.size} ${found.mtimeNs} ${found.ctimeNs}\n` : null;
}

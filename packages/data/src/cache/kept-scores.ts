// Scores of rows that took long to compute, or other numbers of theirs, are taken as they were computed before.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { exists, isRefused, replaceFile, type Tokenizer } from "@tunesmith/core";
import { openCache, touch } from "./folder.ts";
import { readTokenFile, TokenFileWriter } from "./token-file.ts";

/** Which scores are asked for. */
export interface ScoresRequest {
  /** Where they are kept, next to prepared data sets; null: nowhere. */
  folder: string | null;
  /** All that decides them, as JSON values: equal ones mean equal scores. */
  key: unknown;
  /** How many there are. */
  count: number;
  /** Maps files into memory. */
  tokenizer: Pick<Tokenizer, "mapFile">;
}

/** Scores, and where they are from. */
export interface KeptScores {
  scores: Float32Array;
  fromCache: boolean;
  /** Path of a file that should have held them and did not, in whose place a new one was made; null where there was none. */
  unusable: string | null;
}

/**
 * Takes scores from the cache, or computes and keeps them. A file that is not whole is made again; a cache that cannot be written to is done
 * without.
 */
export async function keptScores(
  { folder, key, count, tokenizer }: ScoresRequest,
  compute: () => Promise<Float32Array>,
): Promise<KeptScores> {
  if (folder === null) return { scores: await compute(), fromCache: false, unusable: null };
  const path = join(folder, `${createHash("sha256").update(JSON.stringify(key)).digest("hex")}.safetensors`);
  const file = await readTokenFile(path, (from) => tokenizer.mapFile(from)).catch(() => null);
  const found = file?.arrays.scores;
  if (found instanceof Float32Array && found.length === count) {
    await touch(path);
    // Not a view of the file, which another process may remove.
    return { scores: found.slice(), fromCache: true, unusable: null };
  }
  const unusable = (await exists(path)) ? path : null;
  const scores = await compute();
  try {
    await openCache(folder);
    await replaceFile(path, (temporary) => write(temporary, scores));
  } catch (cause) {
    if (!isRefused(cause)) throw cause;
  }
  return { scores, fromCache: false, unusable };
}

async function write(path: string, scores: Float32Array): Promise<void> {
  const file = await TokenFileWriter.create(path);
  try {
    await file.finish({ scores }, null);
  } finally {
    await file.close();
  }
}

// The tokenizer of a model of the hub, without the model.
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { makeFolder } from "@tunesmith/core";
import { downloadBlobs } from "./blobs.ts";
import { listingOrCached } from "./snapshot.ts";
import { addressOf, type DownloadOptions, wantedRepo } from "./wanted.ts";

/** Files that say how a model reads and writes text. */
const described =
  /^(?:(?:tokenizer|tokenizer_config|special_tokens_map)\.json|chat_template\.(?:jinja|json)|additional_chat_templates\/[\w.-]+\.jinja)$/u;

/** Gives `use` a folder with the files of a tokenizer, which is gone afterwards where no model of that name is in the cache. */
export async function withTokenizerFiles<T>(
  repo: string,
  options: DownloadOptions,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const model = wantedRepo("models", repo, options);
  const listing = await listingOrCached(model, options);
  if ("path" in listing) return use(listing.path);
  const blobs = join(model.folder, "blobs");
  const files = listing.files.filter(({ path }) => described.test(path));
  await downloadBlobs(files, blobs, (path) => addressOf(model, listing.commit, path), model.settings.token, options);
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-tokenizer-"));
  try {
    for (const { path, digest } of files) {
      await makeFolder(dirname(join(folder, path)));
      await copyFile(join(blobs, digest), join(folder, path));
    }
    return await use(folder);
  } finally {
    // Windows keeps files that are mapped.
    await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

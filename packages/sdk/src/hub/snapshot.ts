// Downloads a model of the hub into Hugging Face's cache layout.
import { copyFile, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { DownloadError, type OptionKeys, replaceFile } from "@tunesmith/core";
import { type DownloadControl, downloadBlobs } from "./blobs.ts";
import { findCached, type Snapshot } from "./cached.ts";
import { isInnerPath, type Listing, listModel } from "./listing.ts";
import { makeCacheFolder } from "./make-cache-folder.ts";
import { HubUnreachableError } from "./request.ts";
import { type HubSettings, settingsWith } from "./settings.ts";

/** Options of {@link downloadModel}; what is not given comes from the environment (see {@link hubSettings}). */
export interface DownloadOptions extends DownloadControl {
  /** Branch, tag or commit. Default `main` (huggingface_hub). */
  revision?: string | undefined;
  /** Cache folder in Hugging Face's layout. Default `HF_HUB_CACHE`, or `hub` in `HF_HOME`. */
  cacheDir?: string | undefined;
  /** True: only what is cached, nothing is asked of the network. Default `HF_HUB_OFFLINE`. */
  localFilesOnly?: boolean | undefined;
  /** Access token. Default `HF_TOKEN`, or the one `hf auth login` has saved. */
  token?: string | undefined;
  /** Base address of the hub. Default `HF_ENDPOINT`, or https://huggingface.co. */
  endpoint?: string | undefined;
  /** Milliseconds to wait for the hub's first answer. Default 3000. */
  connectTimeout?: number | undefined;
}

/** Their names. */
export const downloadKeys: OptionKeys<DownloadOptions> = {
  revision: "optional",
  cacheDir: "optional",
  localFilesOnly: "optional",
  token: "optional",
  endpoint: "optional",
  signal: "optional",
  onProgress: "optional",
  onWait: "optional",
  connectTimeout: "optional",
  patience: "optional",
};

/** Files that a model consists of. Weights in other formats and copies of them stay where they are. */
const wanted = [
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$/u,
  /^chat_template\.(jinja|json)$/u,
  /^model\.safetensors(\.index\.json)?$/u,
  /^model-\d+-of-\d+\.safetensors$/u,
  /^additional_chat_templates\/[\w.-]+\.jinja$/u,
];

/** A model of the hub, and where it is kept. */
interface Wanted {
  repo: string;
  revision: string;
  /** Its folder in the cache. */
  folder: string;
  settings: HubSettings;
}

/**
 * The folder of a model of the Hugging Face Hub, downloaded if it is not yet there. When the hub cannot be reached, a complete copy
 * in the cache serves. What is in the cache already is compared with its checksum once.
 *
 * @param repo `ORG/NAME`
 */
export async function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
  return (await fetchSnapshot(repo, options)).path;
}

/** The same, with the commit. */
export async function fetchSnapshot(repo: string, options: DownloadOptions): Promise<Snapshot> {
  const model = wantedModel(repo, options);
  if (model.settings.offline) return cachedSnapshot(model, null);
  let listing: Listing;
  try {
    listing = await listWanted(model, options);
  } catch (error) {
    if (!(error instanceof HubUnreachableError)) throw error;
    return cachedSnapshot(model, error);
  }
  const { commit, files } = listing;
  const { folder, settings } = model;
  const urlOf = (path: string) => addressOf(model, commit, path);
  await downloadBlobs(files, join(folder, "blobs"), urlOf, settings.token, options);
  return { path: await linkSnapshot(model, listing), commit };
}

/** Whether a text has the form ORG/NAME. */
export function isRepoId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/u.test(text) && !/\.\.|--/u.test(text) && text.length <= 96;
}

function wantedModel(repo: string, options: DownloadOptions): Wanted {
  const { endpoint, cacheDir, localFilesOnly: offline, token, revision = "main" } = options;
  const settings = settingsWith({ endpoint, cacheDir, offline, token });
  if (!isRepoId(repo)) throw new DownloadError(`[${repo}] expected a model of the hub as ORG/NAME; check the spelling`);
  if (typeof revision !== "string" || !isInnerPath(revision))
    throw new DownloadError(
      `[${repo}] expected a branch, tag or commit as revision, got ${JSON.stringify(revision)}; check the spelling`,
    );
  return { repo, revision, folder: join(settings.cacheDir, `models--${repo.replace("/", "--")}`), settings };
}

/** The files of a model at its revision that are wanted of it. */
async function listWanted({ repo, revision, settings }: Wanted, options: DownloadOptions): Promise<Listing> {
  const { connectTimeout: timeout = 3_000, signal } = options;
  const { commit, files } = await listModel(repo, revision, { ...settings, timeout, signal });
  const chosen = files.filter(({ path }) => wanted.some((pattern) => pattern.test(path)));
  if (!chosen.some(({ path }) => path.endsWith(".safetensors"))) {
    throw new DownloadError(
      `[${repo}] expected weights named model*.safetensors, got none; for a GGUF file, download it and give its path`,
    );
  }
  return { commit, files: chosen };
}

function addressOf({ repo, settings }: Wanted, commit: string, path: string): string {
  return `${settings.endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Names the files by links, then the commit by its branch: a snapshot that a branch points to is complete. */
async function linkSnapshot({ folder, revision }: Wanted, { commit, files }: Listing): Promise<string> {
  const snapshot = join(folder, "snapshots", commit);
  for (const { path, digest } of files) {
    const link = join(snapshot, path);
    const blob = join(folder, "blobs", digest);
    await makeCacheFolder(dirname(link));
    // Windows allows links to administrators only.
    await replaceFile(link, (name) => symlink(relative(dirname(link), blob), name).catch(() => copyFile(blob, name)));
  }
  if (revision !== commit) {
    const ref = join(folder, "refs", revision);
    await makeCacheFolder(dirname(ref));
    await replaceFile(ref, commit);
  }
  return snapshot;
}

/** The model as it is in the cache; without it `reason` is thrown, or that it is not there. */
async function cachedSnapshot(
  { folder, repo, revision }: Wanted,
  reason: HubUnreachableError | null,
): Promise<Snapshot> {
  const found = await findCached(folder, repo, revision);
  if ("path" in found) return found;
  if (reason !== null) throw reason;
  throw new DownloadError(
    `[${repo}] expected revision "${revision}" in the cache, got a copy without ${found.missing.join(", ")}; go online once, or give the path of a local model`,
  );
}

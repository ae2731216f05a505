// Downloads a model of the hub into Hugging Face's cache layout.
import { copyFile, readFile, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { AbortError, DownloadError, FileSystemError, makeFolders, type OptionKeys, replaceFile } from "@tunesmith/core";
import { isInnerPath, type Listing, listModel, type RemoteFile } from "./listing.ts";
import { withLock } from "./lock.ts";
import { HubUnreachableError } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";
import { type Patience, transfer } from "./transfer.ts";

/** How far a download is, over all files of the model. */
export interface DownloadProgress {
  /** File that bytes have just arrived for. */
  file: string;
  loadedBytes: number;
  totalBytes: number;
}

/** Options of {@link downloadModel}; what is not given comes from the environment (see {@link hubSettings}). */
export interface DownloadOptions {
  /** Branch, tag or commit. Default `main` (huggingface_hub). */
  revision?: string;
  /** Cache folder in Hugging Face's layout. Default `HF_HUB_CACHE`, or `hub` in `HF_HOME`. */
  cacheDir?: string;
  /** True: only what is cached, nothing is asked of the network. Default `HF_HUB_OFFLINE`. */
  localFilesOnly?: boolean;
  /** Access token. Default `HF_TOKEN`, or the one `hf auth login` has saved. */
  token?: string;
  /** Base address of the hub. Default `HF_ENDPOINT`, or https://huggingface.co. */
  endpoint?: string;
  /** Stops the download; what has arrived is kept for the next time. */
  signal?: AbortSignal;
  /** Called with every piece that arrives. Default: none. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Milliseconds to wait for the hub's first answer. Default 3000. */
  connectTimeout?: number;
  /** Default: 20 s without a byte, 0.5 s before the second attempt. */
  patience?: Patience;
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
  connectTimeout: "optional",
  patience: "optional",
};

/** Files of the root folder that a model consists of. Weights in other formats and copies of them stay where they are. */
const wanted = [
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$/u,
  /^chat_template\.(jinja|json)$/u,
  /^model\.safetensors(\.index\.json)?$/u,
  /^model-\d+-of-\d+\.safetensors$/u,
];

/** Files downloaded at the same time. */
const parallel = 4;

/**
 * The folder of a model of the Hugging Face Hub, downloaded if it is not yet there. When the hub cannot be reached, a complete copy
 * in the cache serves.
 *
 * @param repo `ORG/NAME`
 */
export async function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
  const defaults = hubSettings();
  const settings: HubSettings = {
    endpoint: options.endpoint ?? defaults.endpoint,
    cacheDir: options.cacheDir ?? defaults.cacheDir,
    offline: options.localFilesOnly ?? defaults.offline,
    token: options.token ?? defaults.token,
  };
  if (!isRepoId(repo)) throw new DownloadError(`[${repo}] expected a model of the hub as ORG/NAME; check the spelling`);
  const revision = options.revision ?? "main";
  if (!isInnerPath(revision))
    throw new DownloadError(
      `[${repo}] expected a branch, tag or commit as revision, got "${revision}"; check the spelling`,
    );
  const folder = join(settings.cacheDir, `models--${repo.replace("/", "--")}`);
  if (settings.offline) return cachedSnapshot(folder, repo, revision);
  let listing: Listing;
  try {
    listing = await listModel(repo, revision, {
      ...settings,
      timeout: options.connectTimeout ?? 3_000,
      signal: options.signal,
    });
  } catch (error) {
    if (!(error instanceof HubUnreachableError)) throw error;
    return cachedSnapshot(folder, repo, revision).catch(() => Promise.reject(error));
  }
  const files = listing.files.filter(({ path }) => wanted.some((pattern) => pattern.test(path)));
  if (!files.some(({ path }) => path.endsWith(".safetensors"))) {
    throw new DownloadError(
      `[${repo}] expected weights named model*.safetensors, got none; for a GGUF file, download it and give its path`,
    );
  }
  await downloadFiles(repo, folder, listing.commit, files, settings, options);
  return linkSnapshot(folder, listing.commit, revision, files);
}

/** Whether a text has the form ORG/NAME. */
export function isRepoId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/u.test(text) && !text.includes("..");
}

async function downloadFiles(
  repo: string,
  folder: string,
  commit: string,
  files: readonly RemoteFile[],
  { endpoint, token }: HubSettings,
  { signal, onProgress, patience = { stall: 20_000, retry: 500 } }: DownloadOptions,
): Promise<void> {
  const blobs = join(folder, "blobs");
  await makeFolder(blobs);
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  const loaded = new Map<string, number>();
  const report = (file: string, bytes: number) => {
    loaded.set(file, bytes);
    onProgress?.({ file, loadedBytes: [...loaded.values()].reduce((sum, value) => sum + value, 0), totalBytes });
  };
  // One failure stops the other transfers.
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const queue = [...files];
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const { path, digest, size } = file;
      const target = join(blobs, digest);
      const url = `${endpoint}/${repo}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
      const onBytes = (bytes: number) => report(path, bytes);
      await withLock(`${target}.tunesmith-lock`, stopped, async () => {
        // Its name is its checksum, and it got it after the check: it is there or it is not.
        if ((await stat(target).catch(() => null))?.size === size) return;
        await transfer({ url, file: { path, digest, size }, target, token, patience, signal: stopped, onBytes });
      });
      report(path, size);
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: parallel }, () =>
      work().catch((error: unknown) => {
        // The first failure is the reason; the others are stopped by it.
        if (!stop.signal.aborted) stop.abort(error);
        throw error;
      }),
    ),
  );
  if (signal?.aborted)
    throw new AbortError("[download] stopped on request; the part that has arrived is kept", { cause: signal.reason });
  if (results.some(({ status }) => status === "rejected")) throw stop.signal.reason;
}

/** Names the files by links, then the commit by its branch: a snapshot that a branch points to is complete. */
async function linkSnapshot(
  folder: string,
  commit: string,
  revision: string,
  files: readonly RemoteFile[],
): Promise<string> {
  const snapshot = join(folder, "snapshots", commit);
  for (const { path, digest } of files) {
    const link = join(snapshot, path);
    const blob = join(folder, "blobs", digest);
    await makeFolder(dirname(link));
    // Windows allows links to administrators only.
    await replaceFile(link, (name) => symlink(relative(dirname(link), blob), name).catch(() => copyFile(blob, name)));
  }
  if (revision !== commit) {
    const ref = join(folder, "refs", revision);
    await makeFolder(dirname(ref));
    await replaceFile(ref, commit);
  }
  return snapshot;
}

/** The folder of a model that is in the cache as a whole. */
async function cachedSnapshot(folder: string, repo: string, revision: string): Promise<string> {
  const commit = await readFile(join(folder, "refs", revision), "utf8").catch(() => revision);
  const snapshot = join(folder, "snapshots", commit.trim());
  const missing = await missingFiles(snapshot);
  if (missing.length === 0) return snapshot;
  throw new DownloadError(
    `[${repo}] expected revision "${revision}" in the cache, got a copy without ${missing.join(", ")}; go online once, or give the path of a local model`,
  );
}

async function missingFiles(snapshot: string): Promise<string[]> {
  const has = async (name: string) => (await stat(join(snapshot, name)).catch(() => null)) !== null;
  const required = ["config.json"];
  const index = await readFile(join(snapshot, "model.safetensors.index.json"), "utf8").catch(() => null);
  if (index === null) required.push("model.safetensors");
  else
    required.push(...new Set(Object.values((JSON.parse(index) as { weight_map: Record<string, string> }).weight_map)));
  const present = await Promise.all(required.map(has));
  return required.filter((_, i) => !present[i]);
}

async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(path);
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a writable cache folder, got ${(cause as Error).message}; set HF_HOME`,
      { cause },
    );
  }
}

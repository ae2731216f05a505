// A model of the hub as it was asked for: its name and revision, the settings, and which of its files it consists of.
import { join } from "node:path";
import { DownloadError, type HubSettings, hubSettingsWith, type OptionKeys } from "@tunesmith/core";
import type { DownloadControl } from "./blobs.ts";
import { isInnerPath, type Listing, listRepo } from "./listing.ts";
import { defaultPatience } from "./transfer.ts";

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

/** Kinds of repositories, as addresses and folders of the cache have them. */
export type RepoKind = "models" | "datasets";

/** A repository of the hub, and where it is kept. */
export interface Wanted {
  kind: RepoKind;
  repo: string;
  revision: string;
  /** Its folder in the cache. */
  folder: string;
  settings: HubSettings;
}

/** Whether a text has the form ORG/NAME. */
export function isRepoId(text: string): boolean {
  return /^[\w-][\w.-]*\/[\w-][\w.-]*$/u.test(text) && !/\.\.|--/u.test(text) && text.length <= 96;
}

/** Checks what was asked for. */
export function wantedRepo(kind: RepoKind, repo: string, options: DownloadOptions): Wanted {
  const { endpoint, cacheDir, localFilesOnly: offline, token, revision = "main" } = options;
  const settings = hubSettingsWith({ endpoint, cacheDir, offline, token });
  const what = kind === "models" ? "model" : "data set";
  if (!isRepoId(repo))
    throw new DownloadError(`[${repo}] expected a ${what} of the hub as ORG/NAME; check the spelling`);
  if (typeof revision !== "string" || !isInnerPath(revision))
    throw new DownloadError(
      `[${repo}] expected a branch, tag or commit as revision, got ${JSON.stringify(revision)}; check the spelling`,
    );
  return { kind, repo, revision, folder: join(settings.cacheDir, `${kind}--${repo.replace("/", "--")}`), settings };
}

/** What a repository holds at its revision. */
export function listAll({ kind, repo, revision, settings }: Wanted, options: DownloadOptions): Promise<Listing> {
  const { connectTimeout: timeout = 3_000, patience: { stall } = defaultPatience, signal } = options;
  return listRepo({ kind, repo, revision }, { ...settings, timeout, patience: 1.5 * stall, signal });
}

/** The files of a model at its revision that are wanted of it. */
export async function listWanted(model: Wanted, options: DownloadOptions): Promise<Listing> {
  const { commit, files } = await listAll(model, options);
  const chosen = files.filter(({ path }) => wanted.some((pattern) => pattern.test(path)));
  if (!chosen.some(({ path }) => path.endsWith(".safetensors"))) {
    throw new DownloadError(
      `[${model.repo}] expected weights named model*.safetensors, got none; for a GGUF file, download it and give its path`,
    );
  }
  return { commit, files: chosen };
}

/** Where a file of a commit is. */
export function addressOf({ kind, repo, settings }: Wanted, commit: string, path: string): string {
  const place = kind === "models" ? repo : `${kind}/${repo}`;
  return `${settings.endpoint}/${place}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

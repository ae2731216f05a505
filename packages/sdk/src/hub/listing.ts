// What a repository of the hub holds at a commit.
import { DownloadError } from "@tunesmith/core";
import * as z from "zod";
import { get, HubUnreachableError, readText } from "./request.ts";

/** A file of a repository at one commit. */
export interface RemoteFile {
  /** Path inside the repository, checked: it cannot leave a folder it is joined to. */
  path: string;
  size: number;
  /** SHA-256 of the content (large files), or its git blob id (SHA-1). Also the name of the file in the cache. */
  digest: string;
}

/** A repository at one commit. */
export interface Listing {
  /** Full commit id. */
  commit: string;
  files: RemoteFile[];
}

/** Far above any listing: about 50,000 files. */
const maxBytes = 16 * 2 ** 20;

const sha1 = z.string().regex(/^[0-9a-f]{40}$/u);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/u);
const answerSchema = z.object({ sha: sha1, siblings: z.array(z.unknown()) });
const fileSchema = z.object({
  rfilename: z.string().refine(isInnerPath, "a path inside the repository"),
  size: z.int().nonnegative(),
  blobId: sha1,
  lfs: z.object({ sha256, size: z.int().nonnegative() }).nullish(),
});

/** Relative, with forward slashes, without a step up, an empty part, a drive or a control character. */
export function isInnerPath(path: string): boolean {
  return !/[\\:\p{Cc}]/u.test(path) && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Whether a text is a full commit id. */
export function isCommit(text: string): boolean {
  return sha1.safeParse(text).success;
}

/** How the hub is asked. */
export interface ListingRequest {
  endpoint: string;
  token: string | null;
  /** Milliseconds until the answer begins. */
  timeout: number;
  /** Milliseconds from there to its end. */
  patience: number;
  signal?: AbortSignal | undefined;
}

/** A repository at a branch, tag or commit. */
export interface RepoRevision {
  kind: "models" | "datasets";
  repo: string;
  revision: string;
}

/** Asks the hub what a repository holds at a branch, tag or commit. */
export async function listRepo(
  wanted: RepoRevision,
  { endpoint, token, timeout, patience, signal }: ListingRequest,
): Promise<Listing> {
  const { kind, repo, revision } = wanted;
  const url = `${endpoint}/api/${kind}/${repo}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const response = await get({ url, token, timeout, signal });
  if (!response.ok) {
    await response.body?.cancel();
    throw refusal(response.status, wanted, endpoint, token !== null);
  }
  return parseListing(repo, await readText(response, repo, { bytes: maxBytes, timeout: patience }));
}

/** Reads a listing. Stops at the first file that is wrong: a hostile listing has millions of them. */
export function parseListing(repo: string, text: string): Listing {
  const { data, error } = answerSchema.safeParse(parsedJson(text));
  if (data === undefined) throw badListing(repo, error);
  const files = new Map<string, RemoteFile>();
  for (const entry of data.siblings) {
    const { data: file, error } = fileSchema.safeParse(entry);
    if (file === undefined) throw badListing(repo, error);
    const { rfilename: path, size, blobId, lfs } = file;
    if (files.has(path))
      throw new DownloadError(
        `[${repo}] expected every file once in the listing, got one twice; nothing was downloaded`,
      );
    files.set(path, { path, size: lfs?.size ?? size, digest: lfs?.sha256 ?? blobId });
  }
  return { commit: data.sha, files: [...files.values()] };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function badListing(repo: string, { issues: [issue] }: z.ZodError): DownloadError {
  const place = issue === undefined || issue.path.length === 0 ? "answer" : issue.path.join(".");
  return new DownloadError(
    `[${repo}] expected a file listing, got one with a bad "${place}" (${issue?.message}); nothing was downloaded, check HF_ENDPOINT`,
  );
}

function refusal(status: number, wanted: RepoRevision, endpoint: string, hasToken: boolean): DownloadError {
  const { kind, repo, revision } = wanted;
  const what = kind === "models" ? "model" : "data set";
  const page = kind === "models" ? repo : `${kind}/${repo}`;
  if (status === 401 || status === 403) {
    const token = hasToken ? "with an account that has access" : "and set HF_TOKEN";
    return new DownloadError(
      `[${repo}] expected a public ${what}, got HTTP ${status}: it is private, gated or does not exist; open ${endpoint}/${page}, accept its terms, ${token}`,
    );
  }
  if (status === 404) {
    return new DownloadError(
      `[${repo}] expected a ${what} on the hub with revision "${revision}", got HTTP 404; check the spelling`,
    );
  }
  const message = `[${repo}] expected a file listing, got HTTP ${status}; try again later`;
  // A hub that is busy or broken is as good as none.
  return status === 429 || status >= 500 ? new HubUnreachableError(message) : new DownloadError(message);
}

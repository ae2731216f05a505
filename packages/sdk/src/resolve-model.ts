// From a model's name to its local path, with its weights or without.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { expandHome, ModelFileError, OptionError, originOf, recoverFolder } from "@tunesmith/core";
import { withModelHeaders } from "./hub/headers.ts";
import { downloadModel } from "./hub/snapshot.ts";
import { type DownloadOptions, isRepoId } from "./hub/wanted.ts";

/**
 * The local path of a model: a folder or GGUF file as it is, or a model of the hub (`ORG/NAME`) after its download. With a revision
 * `ORG/NAME` is of the hub even where there is a folder of that name; and what was in a cache that has moved is found again.
 */
export async function resolveModel(nameOrPath: string, options: DownloadOptions = {}): Promise<string> {
  const found = await locate(nameOrPath, options);
  return "path" in found ? found.path : downloadModel(found.repo, found.options);
}

/**
 * Gives `use` the path of a model that can be asked about, though not computed with: of a model of the hub no weights are downloaded, and
 * the path is gone afterwards.
 */
export async function describeModel<T>(
  nameOrPath: string,
  options: DownloadOptions,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const found = await locate(nameOrPath, options);
  return "path" in found ? use(found.path) : withModelHeaders(found.repo, found.options, use);
}

/** Where a model is: here, or on the hub. */
async function locate(
  nameOrPath: string,
  options: DownloadOptions,
): Promise<{ path: string } | { repo: string; options: DownloadOptions }> {
  if (typeof nameOrPath !== "string" || nameOrPath === "")
    throw new OptionError(
      `[model] expected a path or ORG/NAME, got ${JSON.stringify(nameOrPath) ?? typeof nameOrPath}; give it`,
    );
  const isHubName = isRepoId(nameOrPath) && !nameOrPath.endsWith(".gguf");
  if (isHubName && options.revision !== undefined) return { repo: nameOrPath, options };
  const path = expandHome(nameOrPath);
  // A merged model that was being replaced when its process was killed.
  await recoverFolder(resolve(path));
  if ((await stat(path).catch(() => null)) !== null) {
    // Commands name the branch main where a local model has none.
    if (options.revision !== undefined && options.revision !== "main")
      throw new OptionError(
        `[modelRevision] expected none with a local path, got ${JSON.stringify(options.revision)} with ${path}; leave it out, or give ORG/NAME`,
      );
    return { path: resolve(path) };
  }
  if (isHubName) return { repo: nameOrPath, options };
  const origin = originOf(path);
  if (origin !== null) return { repo: origin.name, options: { ...options, revision: origin.revision } };
  throw new ModelFileError(
    "FILE_MISSING",
    `[${path}] expected a model folder, a GGUF file or ORG/NAME of the Hugging Face Hub, got nothing at this path; check the spelling`,
  );
}

// From a model's name to its local path.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { expandHome, ModelFileError, OptionError, originOf, recoverFolder } from "@tunesmith/core";
import { type DownloadOptions, downloadModel, isRepoId } from "./hub/snapshot.ts";

/**
 * The local path of a model: a folder or GGUF file as it is, or a model of the hub (`ORG/NAME`) after its download. With a revision
 * `ORG/NAME` is of the hub even where there is a folder of that name; and what was in a cache that has moved is found again.
 */
export async function resolveModel(nameOrPath: string, options: DownloadOptions = {}): Promise<string> {
  if (typeof nameOrPath !== "string" || nameOrPath === "")
    throw new OptionError(
      `[model] expected a path or ORG/NAME, got ${JSON.stringify(nameOrPath) ?? typeof nameOrPath}; give it`,
    );
  const isHubName = isRepoId(nameOrPath) && !nameOrPath.endsWith(".gguf");
  if (isHubName && options.revision !== undefined) return downloadModel(nameOrPath, options);
  const path = expandHome(nameOrPath);
  // A merged model that was being replaced when its process was killed.
  await recoverFolder(resolve(path));
  if ((await stat(path).catch(() => null)) !== null) return resolve(path);
  if (isHubName) return downloadModel(nameOrPath, options);
  const origin = originOf(path);
  if (origin !== null) return downloadModel(origin.name, { ...options, revision: origin.revision });
  throw new ModelFileError(
    "FILE_MISSING",
    `[${path}] expected a model folder, a GGUF file or ORG/NAME of the Hugging Face Hub, got nothing at this path; check the spelling`,
  );
}

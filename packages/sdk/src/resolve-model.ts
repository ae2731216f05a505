// From a model's name to its local path.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { expandHome, ModelFileError, OptionError, recoverFolder } from "@tunesmith/core";
import { type DownloadOptions, downloadModel, isRepoId } from "./hub/snapshot.ts";

/** The local path of a model: a folder or GGUF file as it is, or a model of the hub (`ORG/NAME`) after its download. */
export async function resolveModel(nameOrPath: string, options: DownloadOptions = {}): Promise<string> {
  if (typeof nameOrPath !== "string" || nameOrPath === "")
    throw new OptionError(
      `[model] expected a path or ORG/NAME, got ${JSON.stringify(nameOrPath) ?? typeof nameOrPath}; give it`,
    );
  const modelNameOrPath = expandHome(nameOrPath);
  // A merged model that was being replaced when its process was killed.
  await recoverFolder(resolve(modelNameOrPath));
  if ((await stat(modelNameOrPath).catch(() => null)) !== null) return resolve(modelNameOrPath);
  if (isRepoId(modelNameOrPath) && !modelNameOrPath.endsWith(".gguf")) return downloadModel(modelNameOrPath, options);
  throw new ModelFileError(
    "FILE_MISSING",
    `[${modelNameOrPath}] expected a model folder, a GGUF file or ORG/NAME of the Hugging Face Hub, got nothing at this path; check the spelling`,
  );
}

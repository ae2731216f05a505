// From a model's name to its local path.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { ModelFileError } from "@tunesmith/core";
import { type DownloadOptions, downloadModel, isRepoId } from "./hub/snapshot.ts";

/** The local path of a model: a folder or GGUF file as it is, or a model of the hub (`ORG/NAME`) after its download. */
export async function resolveModel(modelNameOrPath: string, options: DownloadOptions = {}): Promise<string> {
  if ((await stat(modelNameOrPath).catch(() => null)) !== null) return resolve(modelNameOrPath);
  if (isRepoId(modelNameOrPath) && !modelNameOrPath.endsWith(".gguf")) return downloadModel(modelNameOrPath, options);
  throw new ModelFileError(
    "FILE_MISSING",
    `[${modelNameOrPath}] expected a model folder, a GGUF file or ORG/NAME of the Hugging Face Hub, got nothing at this path; check the spelling`,
  );
}

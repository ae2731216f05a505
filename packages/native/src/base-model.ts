// Names the base model of a saved adapter as it can be found elsewhere: the engine knows files, not where they come from.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { exists, fileOperation, type ModelOrigin, replaceFile } from "@tunesmith/core";

/** Writes ORG/NAME and commit in place of a path into an adapter's configuration, where the folder has one and the model an origin. */
export async function nameBaseModel(folder: string, origin: ModelOrigin | null): Promise<void> {
  const path = join(folder, "adapter_config.json");
  if (origin === null || !(await exists(path))) return;
  const config = JSON.parse(await fileOperation("read", path, () => readFile(path, "utf8"))) as object;
  const named = { ...config, base_model_name_or_path: origin.name, revision: origin.revision };
  await replaceFile(path, `${JSON.stringify(named, null, 2)}\n`);
}

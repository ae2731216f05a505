// What a command works on: a run folder stands for its model and what was trained on it.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import {
  expandHome,
  ModelFileError,
  modelConfigSchema,
  type ParsedModelConfig,
  parseOptions,
  recoverFolder,
} from "@tunesmith/core";
import { readRunConfig } from "@tunesmith/trainer";

/** A run folder stands for its model, how that was held, and what was trained on it; anything else is a model. */
export async function modelOf(
  runOrModel: string,
  adapterFlag: string | undefined,
): Promise<{ model: string; adapter: string | null; weights: ParsedModelConfig }> {
  const target = expandHome(runOrModel);
  const adapter = adapterFlag === undefined ? undefined : expandHome(adapterFlag);
  const exists = async (path: string) => (await stat(path).catch(() => null)) !== null;
  if (!(await exists(join(target, "config.resolved.yaml"))))
    return { model: target, adapter: adapter ?? null, weights: parseOptions(modelConfigSchema, {}) };
  const trained = adapter ?? join(target, "adapter");
  await recoverFolder(trained);
  if (!(await exists(trained))) {
    throw new ModelFileError(
      "FILE_MISSING",
      `[${trained}] expected the result of a finished run, got nothing; finish it with: tunesmith resume ${target}`,
    );
  }
  const { model, peftConfig, modelConfig } = await readRunConfig(target);
  // After full fine-tuning the folder holds a whole model.
  return peftConfig.fullFinetuning
    ? { model: trained, adapter: null, weights: modelConfig }
    : { model, adapter: trained, weights: modelConfig };
}

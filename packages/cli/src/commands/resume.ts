// `tunesmith resume`: goes on from the newest whole checkpoint of a run folder, after its end with more steps.
import { DataError, expandHome, onlyGiven, sortOptions } from "@tunesmith/core";
import { environmentLine } from "../view/environment-line.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { openDatasets } from "./open-datasets.ts";
import type { Streams } from "./train.ts";
import { trainers } from "./trainers.ts";

/**
 * `tunesmith resume RUN_DIR`: goes on from the newest whole checkpoint with the options of the run, but for those given. Gives the exit
 * code.
 */
export async function resume(folder: string, flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const { json: asked, ...given } = flags;
  const runDir = expandHome(folder);
  const { readRunConfig } = await import("@tunesmith/trainer");
  const json = asked === true;
  const {
    trainer: of,
    model: name,
    modelRevision,
    data,
    evalData,
    fromProgram,
    ...config
  } = await readRunConfig(runDir);
  // Its rewards are functions.
  if (of === "grpo") throw ofProgram(runDir, fromProgram);
  const kind = trainers[of];
  const { place, args: parsed } = sortOptions(kind.resumeSchemas, given, "tunesmith resume");
  const changed = onlyGiven(parsed, given);
  const { peftConfig, modelConfig } = config;
  // maxSteps would win over a number of epochs.
  const byEpochs = changed.numTrainEpochs !== undefined && changed.maxSteps === undefined ? { maxSteps: -1 } : {};
  // How the run went on the last time says nothing of this time.
  const isLonger = changed.maxSteps !== undefined || changed.numTrainEpochs !== undefined;
  const args = { ...config.args, ...(isLonger && { schedule: "fresh" as const }), ...byEpochs, ...changed };
  if (data === null || fromProgram.length > 0) throw ofProgram(runDir, data === null ? ["rows"] : fromProgram);
  (json ? err : out).write(`${environmentLine(place)}\n`);
  const model = await openModel(name, err, { ...place, ...modelConfig, ...revisionOf(modelRevision) });
  const datasets = await openDatasets(data, evalData, err);
  const trainer = await kind.create({ model, ...datasets, args, peftConfig });
  const { runTraining } = await import("./run-session.ts");
  return runTraining(trainer, model, { json, out, err, runDir, options: { resumeFromCheckpoint: true } });
}

function ofProgram(runDir: string, names: readonly string[]): DataError {
  return new DataError(
    `[${runDir}] expected a run on data files, got one whose ${names.join(", ")} came from a program; resume it there with train({ resumeFromCheckpoint: true })`,
  );
}

// `tunesmith estimate`: what a run would take, before any weight is read.
import { onlyGiven, sortOptions, terminalText } from "@tunesmith/core";
import { estimateMemory, memoryShortage } from "@tunesmith/trainer";
import pc from "picocolors";
import { readConfigFile } from "../config-file.ts";
import { trainingSchemas } from "../flags.ts";
import { deviceName } from "../view/device.ts";
import { bytes, count, plural } from "../view/format.ts";
import { describeModel, revisionOf } from "./load-model.ts";
import { tellPreset, withPresetModel } from "./preset.ts";
import type { Streams } from "./train.ts";

/** `tunesmith estimate`. Exit code 1 when the run does not fit the memory that is free. */
export async function estimate(name: string, flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const { config, json = false, ...given } = flags;
  const file = config === undefined ? {} : await readConfigFile(config as string);
  const all = { ...file, ...given };
  const { inputs, place, modelConfig, args, peftConfig } = sortOptions(
    trainingSchemas,
    withPresetModel(all, "tunesmith estimate"),
    "tunesmith estimate",
  );
  // What is not given is for a preset to say.
  const settings = { args: onlyGiven(args, all), peftConfig: onlyGiven(peftConfig, all) };
  const options = { ...place, ...modelConfig, ...revisionOf(inputs.modelRevision) };
  const { found, shortage } = await describeModel(name, err, options, async (model) => {
    for (const warning of model.info.warnings) err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
    tellPreset(all, "tunesmith estimate", model.info, json === true ? err : out);
    const estimated = await estimateMemory(model, settings);
    return { found: estimated, shortage: memoryShortage(model, estimated, settings) };
  });
  if (json === true) {
    out.write(`${JSON.stringify({ ...found, fits: shortage === null })}\n`);
    return shortage === null ? 0 : 1;
  }
  const { plan, pass, needed, free, gradientCheckpointing } = found;
  const rows: [string, string][] = [
    ["device", deviceName(plan.device)],
    ["model", `${count(plan.totalParameters)} parameters, ${count(plan.trainableParameters)} trained`],
    ["largest pass", `${plural(pass.tokens, "token")}, sequences of ${pass.longest}`],
    ["weights", bytes(plan.weights)],
    ["trained", bytes(plan.trained)],
    ["gradients", bytes(plan.gradients)],
    ["optimizer", bytes(plan.optimizer)],
    ["activations", `${bytes(plan.activations)}${gradientCheckpointing ? ", layers computed again" : ""}`],
    [
      "needed",
      `${bytes(needed)} of ${bytes(free)} free on the ${plan.device === "cpu" ? "host" : `${plan.device} device`}`,
    ],
  ];
  for (const [label, value] of rows) out.write(`${label.padEnd(13)} ${value}\n`);
  if (shortage !== null) out.write(`does not fit: ${terminalText(shortage)}\n`);
  return shortage === null ? 0 : 1;
}

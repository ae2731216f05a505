// `tunesmith estimate`: what a run would take, before any weight is read, and on request how fast it would be.
import { OptionError, onlyGiven, sortOptions, terminalText } from "@tunesmith/core";
import { estimateFit, measureSpeed } from "@tunesmith/sdk";
import { estimateMemory, memoryShortage } from "@tunesmith/trainer";
import pc from "picocolors";
import { readConfigFile } from "../config-file.ts";
import { trainingSchemas } from "../flags.ts";
import { costOf, fitLines, linesOf, memoryLines, speedLines } from "../view/estimate-lines.ts";
import { describeModel, openModel, revisionOf } from "./load-model.ts";
import { tellPreset, withPresetModel } from "./preset.ts";
import type { Streams } from "./train.ts";

/** `tunesmith estimate`. Exit code 1 when the run does not fit the memory that is free. */
export async function estimate(name: string, flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const { config, json = false, calibrate = false, usdPerHour, ...given } = flags;
  const price = priceOf(usdPerHour, calibrate === true);
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
  const { found, fit, shortage } = await describeModel(name, err, options, async (model) => {
    for (const warning of model.info.warnings) err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
    tellPreset(all, "tunesmith estimate", model.info, json === true ? err : out);
    const estimated = await estimateMemory(model, settings);
    const fitted = await estimateFit(model, settings);
    return { found: estimated, fit: fitted, shortage: memoryShortage(model, estimated, settings) };
  });
  if (json !== true) {
    out.write(linesOf([...memoryLines(found), ...fitLines(fit)]));
    if (shortage !== null) out.write(`does not fit: ${terminalText(shortage)}\n`);
  }
  // What does not fit is not tried.
  const isMeasured = calibrate === true && shortage === null;
  const speed = isMeasured ? await measureSpeed(await openModel(name, err, options), settings) : null;
  const cost = speed === null || price === null ? null : costOf(speed, price);
  if (json === true) out.write(`${JSON.stringify({ ...found, fits: shortage === null, fit, speed, cost })}\n`);
  else if (speed !== null) out.write(linesOf(speedLines(speed, cost)));
  return shortage === null ? 0 : 1;
}

/** A price by the hour; null where none is given. */
function priceOf(text: unknown, calibrates: boolean): number | null {
  if (text === undefined) return null;
  const price = String(text).trim() === "" ? Number.NaN : Number(text);
  if (!(price >= 0 && price < Number.POSITIVE_INFINITY))
    throw new OptionError(`[--usd-per-hour] expected a price in US dollars, got "${String(text)}"; correct it`);
  if (!calibrates)
    throw new OptionError("[--usd-per-hour] expected a speed to price, got none; add --calibrate, which measures it");
  return price;
}

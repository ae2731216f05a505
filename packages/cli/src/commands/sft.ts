// `tunesmith sft`: takes what `trl sft` takes, and trains with its defaults.
import { OptionError, scriptDefaults, sortOptions, terminalText } from "@tunesmith/core";
import pc from "picocolors";
import { sftSchemas } from "../flags.ts";
import { optionsOfRun, setEnvironment, withModelOptions } from "./script-options.ts";
import { type Streams, trainWith } from "./train.ts";
import { trainers } from "./trainers.ts";

/** As trl sft: every weight, unless usePeft asks for an adapter. */
const rules = { defaults: scriptDefaults, usePeft: false };

/** `tunesmith sft`. Gives the exit code. */
export async function sft(flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { config, json = false, dryRun = false, ...given } = flags;
  const file = config === undefined ? {} : await fromFile(config as string);
  const { env, ...written } = file;
  setEnvironment(env);
  const all = withModelOptions({ ...written, ...given });
  const { script, inputs, args } = sortOptions(sftSchemas, all, "tunesmith sft");
  if (args.preset !== null)
    throw new OptionError(
      `[--preset] expected none, since tunesmith sft has the defaults of trl sft, got ${args.preset}; leave it out, or run tunesmith train`,
    );
  const { options, warnings } = await optionsOfRun(all, { script, inputs, evalStrategy: args.evalStrategy }, rules);
  for (const warning of warnings) streams.err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
  const start = { json: json === true, dryRun: dryRun === true, place: "tunesmith sft" };
  return trainWith(trainers.sft, options, start, streams);
}

async function fromFile(path: string): Promise<Record<string, unknown>> {
  const { readConfigFile } = await import("../config-file.ts");
  return readConfigFile(path, sftSchemas);
}

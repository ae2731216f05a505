// `tunesmith dpo`: trains on pairs of answers, with the options of a run and with what `trl dpo` takes besides.
import { scriptDefaults, sortOptions, terminalText } from "@tunesmith/core";
import pc from "picocolors";
import { dpoScriptSchemas, trainingCommands } from "../flags.ts";
import { adapterNames, optionsOfRun, setEnvironment, withModelOptions } from "./script-options.ts";
import { type Streams, trainWith } from "./train.ts";
import { trainers } from "./trainers.ts";

const place = trainingCommands.dpo;
const { r, loraAlpha, loraDropout } = scriptDefaults;

/** An adapter with TRL's numbers by usePeft, and where nothing is said one of this library's, in place of every weight. */
const rules = { defaults: { r, loraAlpha, loraDropout }, usePeft: null };

/** `tunesmith dpo`. Gives the exit code. */
export async function dpo(flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { config, json = false, dryRun = false, ...given } = flags;
  const file = config === undefined ? {} : await fromFile(config as string);
  const { env, ...written } = file;
  setEnvironment(env);
  const all = withModelOptions({ ...written, ...given });
  const { script, inputs, args } = sortOptions(dpoScriptSchemas, all, place);
  const { options, warnings } = await optionsOfRun(all, { script, inputs, evalStrategy: args.evalStrategy }, rules);
  for (const warning of warnings) streams.err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
  const start = { json: json === true, dryRun: dryRun === true, place };
  const tell = start.json || start.dryRun ? streams.err : streams.out;
  const decides = ["usePeft", "fullFinetuning", "adapterPath", ...adapterNames];
  if (!decides.some((name) => all[name] !== undefined && all[name] !== null))
    tell.write(
      "adapter  a new one is trained; trl dpo trains every weight without --use_peft: --use_peft false does so\n",
    );
  return trainWith(trainers.dpo, options, start, streams);
}

async function fromFile(path: string): Promise<Record<string, unknown>> {
  const { readConfigFile } = await import("../config-file.ts");
  return readConfigFile(path, dpoScriptSchemas, "dpo");
}

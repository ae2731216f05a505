// Command line flags made from the schemas of the options.
import {
  adviceFor,
  canonicalName,
  deviceOptionsSchema,
  dpoConfigSchema,
  evaluationConfigSchema,
  generationConfigSchema,
  type JsonSchema,
  jsonSchemaOf,
  kebabCase,
  loraConfigSchema,
  modelConfigSchema,
  OptionError,
  type OptionGroup,
  optionGroups,
  optionsOf,
  readingOptionsSchema,
  runInputsSchema,
  type Schemas,
  scriptArgumentsSchema,
  selfInstructConfigSchema,
  sftConfigSchema,
  verdictOn,
} from "@tunesmith/core";
import { type Command, Option } from "commander";
import * as z from "zod";
import { kindOf, nothing, parseValue, placeholder } from "./flag-values.ts";

/** Options of a run that say what it computes and where, by what they are handed on as. */
export const settingSchemas = {
  place: deviceOptionsSchema,
  args: sftConfigSchema,
  peftConfig: loraConfigSchema,
  modelConfig: modelConfigSchema,
};

/** The same with the files it reads: what `tunesmith train` takes, and its configuration file. */
export const trainingSchemas = { inputs: runInputsSchema, ...settingSchemas };

/** Options of a run of `tunesmith dpo`. */
export const dpoSchemas = { ...trainingSchemas, args: dpoConfigSchema };

/** Options of a run of each trainer. */
export const trainerSchemas = { sft: trainingSchemas, dpo: dpoSchemas } as const;

/** The same with what `trl dpo` takes besides. */
export const dpoScriptSchemas = { script: scriptArgumentsSchema, ...dpoSchemas };

/** The command that starts a run of each trainer. */
export const trainingCommands = { sft: "tunesmith train", dpo: "tunesmith dpo" } as const;

/** What `tunesmith sft` takes, and its configuration file. */
export const sftSchemas = { script: scriptArgumentsSchema, ...trainingSchemas };

const ofTheCommand = { outputDir: true, resumeFromCheckpoint: true } as const;

/**
 * What a resumed run of `tunesmith train` takes. What the run began with in its steps is refused by the trainer, which names it; its folder
 * and checkpoint are those of the command.
 */
export const resumeSchemas = {
  place: deviceOptionsSchema,
  args: sftConfigSchema.omit(ofTheCommand),
};

/** The same of a run of `tunesmith dpo`, whose own options all decide its steps: given with another value they are refused by name. */
export const dpoResumeSchemas = { place: deviceOptionsSchema, args: dpoConfigSchema.omit(ofTheCommand) };

const ofPairsAlone = Object.fromEntries(
  Object.entries(dpoResumeSchemas.args.shape).filter(([name]) => !Object.hasOwn(sftConfigSchema.shape, name)),
);

/** Flags of `tunesmith resume`: which of them a run takes shows when its folder is read, and so does which losses there are. */
export const resumeFlagSchemas: Schemas = {
  place: deviceOptionsSchema,
  args: resumeSchemas.args.extend({ lossType: z.string().meta(sftConfigSchema.shape.lossType.meta() ?? {}) }),
  ofPairs: z.object(ofPairsAlone),
};

/** Those that its help leaves out: of runs of pairs, where they decide numbers and cannot change. */
export const hiddenResumeFlags: readonly string[] = Object.keys(ofPairsAlone);

/** What `tunesmith bench` takes. */
export const benchSchemas = { place: deviceOptionsSchema };

/** Where a model that writes is computed, and how its weights are held. */
export const placeSchemas = { place: deviceOptionsSchema, modelConfig: modelConfigSchema };

/** What `tunesmith chat` takes. */
export const chatSchemas = { sampling: generationConfigSchema, ...placeSchemas };

/** What `tunesmith synth self-instruct` takes. */
export const synthSchemas = { config: selfInstructConfigSchema, ...placeSchemas };

/** What `tunesmith eval` takes. */
export const evalSchemas = {
  evaluation: evaluationConfigSchema,
  reading: readingOptionsSchema,
  ...chatSchemas,
};

/** Title of a group of flags in the help. */
export function groupTitle(group: OptionGroup): string {
  return `${group[0]?.toUpperCase()}${group.slice(1)} options:`;
}

/**
 * Adds one flag per option of the schemas, named in kebab-case, in the help below the title of its group.
 *
 * @param argv what is typed. Unless it asks for help, flags that it does not have need no more than their names: what all of them say of
 * themselves takes a tenth of a second to put together. Default: nothing is known of it, and all are whole
 */
export function addSchemaFlags(command: Command, schemas: Schemas, argv: readonly string[] = ["--help"]): void {
  if (isWhole(argv)) {
    addWholeFlags(command, schemas);
    return;
  }
  const typed = typedNames(argv);
  for (const schema of Object.values(schemas))
    for (const [name, type] of Object.entries(schema.shape as Record<string, z.ZodType>))
      command.addOption(
        typed.has(name) ? flagOf(name, type, jsonSchemaOf(type)) : new Option(`--${kebabCase(name)}`).hideHelp(),
      );
}

/** Whether a command line may be answered with the help of a command. */
function isWhole(argv: readonly string[]): boolean {
  return argv.some((word) => word === "--help" || word === "-h" || word === "help");
}

/** Names of options that a command line may have, also those that it turns off. */
function typedNames(argv: readonly string[]): ReadonlySet<string> {
  const flags = argv.filter((word) => word.startsWith("--")).map((word) => word.slice(2).split("=", 1)[0] as string);
  return new Set(flags.flatMap((flag) => [flag, flag.replace(/^no[-_]/u, "")]).map(canonicalName));
}

function addWholeFlags(command: Command, schemas: Schemas): void {
  const options = Object.values(schemas).flatMap((schema) =>
    optionsOf(schema).map((option) => ({ ...option, type: schema.shape[option.name] as z.ZodType })),
  );
  const place = ({ group }: { group: OptionGroup }) => optionGroups.indexOf(group);
  for (const { name, group, description, schema, type } of options.sort((a, b) => place(a) - place(b))) {
    const option = flagOf(name, type, schema, description).helpGroup(groupTitle(group));
    // They are in docs/options.md; a person who looks for what to set does not look for these.
    if (verdictOn(type) !== null) option.hideHelp();
    command.addOption(option);
  }
}

function flagOf(name: string, type: z.ZodType, schema: JsonSchema, description = ""): Option {
  const kind = kindOf(schema);
  const flag = `--${kebabCase(name)}`;
  const option = new Option(`${flag}${placeholder(kind)}`, description).argParser((text: string, before: unknown) =>
    parseValue(flag, kind, type, text, before),
  );
  return kind.boolean ? option.preset("true") : option;
}

/** Leaves options out of the help of a command. */
export function hideFlags({ options }: Command, names: readonly string[]): void {
  for (const option of options) if (names.includes(option.attributeName())) option.hideHelp();
}

/** The flags that a command has of itself. */
export function flagsOf({ options }: Command): KnownFlag[] {
  return options.flatMap((option) =>
    option.long ? [{ long: option.long, isSwitch: option.presetArg === "true" || option.isBoolean() }] : [],
  );
}

/** A flag as commander knows it, and whether it is one that is on or off. */
export interface KnownFlag {
  long: string;
  isSwitch: boolean;
}

/**
 * Writes flags as commander knows them: `--learning_rate` and TRL's other names become `--learning-rate`. Texts after `--` stay. A flag
 * in two spellings is an `OptionError`, and so is one of another library in whose place another stands here.
 */
export function normaliseFlags(argv: readonly string[], flags: readonly KnownFlag[]): string[] {
  const end = argv.indexOf("--");
  const spellings = new Map<string, string>();
  const known = flags.map(({ long }) => long);
  const names = known.map((flag) => canonicalName(flag.slice(2)));
  const isSwitch = (flag: string) => flags.some((other) => other.long === flag && other.isSwitch);
  return argv.map((argument, index) => {
    if (!argument.startsWith("--") || argument === "--" || (end !== -1 && index > end)) return argument;
    const [given = "", ...value] = argument.split("=");
    const name = canonicalName(given.slice(2));
    const flag = `--${kebabCase(name)}`;
    // transformers' command line turns off with --no_NAME what is on by default.
    const [, positive] = /^--no-(.+)$/u.exec(flag) ?? [];
    if (!known.includes(flag) && positive !== undefined && isSwitch(`--${positive}`) && value.length === 0)
      return `--${positive}=false`;
    if (!known.includes(flag)) {
      const advice = adviceFor(name, names);
      if (advice === null) return argument;
      throw new OptionError(`[command line] expected a known option, got "${given}"; ${advice}`);
    }
    if ((spellings.get(flag) ?? given) !== given)
      throw new OptionError(`[command line] expected "${flag}" once, got it twice; remove "${given}"`);
    spellings.set(flag, given);
    return [flag, ...value].join("=");
  });
}

/** The values of the flags that were given. */
export function flagValues(command: Command): Record<string, unknown> {
  const values: Record<string, unknown> = command.opts();
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === nothing ? null : value]));
}

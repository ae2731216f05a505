// Reads the options of a `--config` file.
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import {
  canonicalKeys,
  expandHome,
  FileSystemError,
  namesOf,
  OptionError,
  type Schemas,
  sortOptions,
} from "@tunesmith/core";
import type { TrainerName } from "@tunesmith/trainer";
import { parseDocument } from "yaml";
import type { z } from "zod";
import { typedText } from "./flag-values.ts";
import { sftSchemas, trainingCommands, trainingSchemas } from "./flags.ts";

/**
 * Reads options from a YAML or JSON file, for example the `config.resolved.yaml` of another run. Keys are the flags' names in
 * camelCase, snake_case or kebab-case.
 *
 * @param schemas of the options. Default: those of `tunesmith train`
 * @param trainer whose options they are; a file of another one is an `OptionError`. Default: that of `tunesmith train`
 */
export async function readConfigFile(
  file: string,
  schemas: Schemas = trainingSchemas,
  trainer: TrainerName = "sft",
): Promise<Record<string, unknown>> {
  const path = expandHome(file);
  const { trainer: named = trainer, ...value } = (await readKeys(path)) as Record<string, unknown>;
  if (named !== trainer) throw otherTrainer(path, named, trainer);
  if (schemas !== sftSchemas) {
    // All that is wrong with names and values at once, whatever flags say of them.
    sortOptions(schemas, value, path);
    return canonicalKeys(value, namesOf(schemas), path);
  }
  const values = canonicalKeys(value, namesOf(schemas), path);
  const typed = Object.entries(values).map(([name, given]) => [name, typedValue(schemas, name, given)]);
  sortOptions(schemas, Object.fromEntries(typed), path);
  return Object.fromEntries(typed);
}

/** The error of a file that a run of another trainer has written. */
function otherTrainer(path: string, named: unknown, trainer: TrainerName): OptionError {
  const [, command] = Object.entries(trainingCommands).find(([name]) => name === named) ?? [];
  const advice = command === undefined ? "correct it" : `give the file to ${command}`;
  return new OptionError(
    `[${path}] expected options of ${trainingCommands[trainer]}, got those of trainer ${JSON.stringify(named)}; ${advice}`,
  );
}

/** Reads the file of a sweep: options of `tunesmith train`, and below `sweep` those that arms vary, as they stand. */
export async function readSweepFile(file: string): Promise<Record<string, unknown> & { sweep?: unknown }> {
  const path = expandHome(file);
  const { sweep, ...shared } = (await readKeys(path)) as Record<string, unknown>;
  sortOptions(trainingSchemas, shared, path);
  return { ...canonicalKeys(shared, namesOf(trainingSchemas), path), sweep };
}

/** Keys and values of a YAML or JSON file. */
async function readKeys(path: string): Promise<object> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a readable configuration file, got ${(cause as Error).message}; check the path`,
      { cause },
    );
  }
  if (!isUtf8(bytes)) throw new OptionError(`[${path}] expected UTF-8, got other bytes; save the file as UTF-8`);
  const document = parseDocument(bytes.toString("utf8"));
  // A tag of another program, as Python's !!python/tuple, is no more than a warning there.
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined)
    throw new OptionError(`[${path}] expected YAML or JSON, got ${error.message.split("\n")[0]}; correct the file`);
  const value: unknown = document.toJS();
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new OptionError(
      `[${path}] expected keys and values, got ${Array.isArray(value) ? "a list" : String(value)}; see tunesmith train --help`,
    );
  }
  return value;
}

/** TRL reads a text of its file as it reads that of a flag. */
function typedValue(schemas: Schemas, name: string, given: unknown): unknown {
  const schema = Object.values(schemas).find(({ shape }) => Object.hasOwn(shape, name));
  return typeof given === "string" && schema !== undefined
    ? typedText(name, schema.shape[name] as z.ZodType, given)
    : given;
}

// Reads the options of a `--config` file.
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import {
  canonicalKeys,
  canonicalName,
  expandHome,
  FileSystemError,
  namesOf,
  OptionError,
  type Schemas,
  sortOptions,
} from "@tunesmith/core";
import { type Document, isMap, isScalar, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { typedText } from "./flag-values.ts";
import { trainerSchemas, trainingCommands, trainingSchemas } from "./flags.ts";

/**
 * Reads options from a YAML or JSON file, for example the `config.resolved.yaml` of another run. Keys are the flags' names in
 * camelCase, snake_case or kebab-case. Wrong names and values are one `OptionError` that says of each where it stands, FILE:LINE:COLUMN.
 *
 * @param schemas of the options. Default: those of `tunesmith train`
 * @param trainer whose options they are; a file of another one is an `OptionError`. Default: that of `tunesmith train`
 */
export async function readConfigFile(
  file: string,
  schemas: Schemas = trainingSchemas,
  trainer: keyof typeof trainingCommands = "sft",
): Promise<Record<string, unknown>> {
  const path = expandHome(file);
  const { value: given, placeOf } = await readKeys(path);
  const { trainer: named = trainer, ...value } = given as Record<string, unknown>;
  if (named !== trainer) throw otherTrainer(path, named, trainer);
  return documented(() => {
    if (!Object.hasOwn(schemas, "script")) {
      // All that is wrong with names and values at once, whatever flags say of them.
      sortOptions(schemas, value, path, placeOf);
      return canonicalKeys(value, namesOf(schemas), path, placeOf);
    }
    const values = canonicalKeys(value, namesOf(schemas), path, placeOf);
    const typed = Object.entries(values).map(([name, text]) => [name, typedValue(schemas, name, text)]);
    sortOptions(schemas, Object.fromEntries(typed), path, placeOf);
    return Object.fromEntries(typed);
  });
}

/** The error of a file that a run of another trainer has written. */
function otherTrainer(path: string, named: unknown, trainer: keyof typeof trainingCommands): OptionError {
  const [, command] = Object.entries(trainingCommands).find(([name]) => name === named) ?? [];
  const advice = command === undefined ? "correct it" : `give the file to ${command}`;
  return new OptionError(
    `[${path}] expected options of ${trainingCommands[trainer]}, got those of trainer ${JSON.stringify(named)}; ${advice}`,
  );
}

/** The file of a sweep. */
interface SweepFile {
  /** Whose options they are: `trainer` of the file, as configurations of runs have it. */
  trainer: keyof typeof trainingCommands;
  /** Below `sweep`, as it stands. */
  sweep: unknown;
  /** What all arms share. */
  shared: Record<string, unknown>;
}

/** Reads the file of a sweep: options of its trainer, of `tunesmith train` where it names none, and below `sweep` those that arms vary. */
export async function readSweepFile(file: string): Promise<SweepFile> {
  const path = expandHome(file);
  const { value, placeOf } = await readKeys(path);
  const { sweep, trainer = "sft", ...shared } = value as Record<string, unknown>;
  if (typeof trainer !== "string" || !Object.hasOwn(trainingCommands, trainer))
    throw new OptionError(
      `[${path}] expected trainer ${Object.keys(trainingCommands).join(" or ")}, got ${JSON.stringify(trainer)}; correct it`,
    );
  const name = trainer as keyof typeof trainingCommands;
  const schemas = trainerSchemas[name];
  return documented(() => {
    sortOptions(schemas, shared, path, placeOf);
    return { trainer: name, sweep, shared: canonicalKeys(shared, namesOf(schemas), path, placeOf) };
  });
}

/** Says once, of all that is wrong with a file, where its options are described. */
function documented<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof OptionError)) throw cause;
    throw new OptionError(`${cause.message}; docs/options.md describes every option`, { cause });
  }
}

/** Keys and values of a YAML or JSON file, and where each key stands. */
async function readKeys(path: string): Promise<{ value: object; placeOf: (name: string) => string }> {
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
  const lines = new LineCounter();
  // A byte order mark is no column.
  const document = parseDocument(bytes.toString("utf8").replace(/^\uFEFF/u, ""), { lineCounter: lines });
  // A tag of another program, as Python's !!python/tuple, is no more than a warning there.
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    const [{ line, col } = { line: 1, col: 1 }] = error.linePos ?? [];
    throw new OptionError(
      `[${path}:${line}:${col}] expected YAML or JSON, got ${error.message.split("\n")[0]}; correct the file`,
    );
  }
  const value: unknown = document.toJS();
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new OptionError(
      `[${path}] expected keys and values, got ${Array.isArray(value) ? "a list" : String(value)}; see tunesmith train --help`,
    );
  }
  const places = keyPlaces(document, lines);
  return {
    value,
    placeOf: (name) => {
      const key = places.has(name) ? name : [...places.keys()].find((given) => canonicalName(given) === name);
      return `${path}${places.get(key ?? name) ?? ""}`;
    },
  };
}

/** `:LINE:COLUMN` of every key of the file, both from 1. */
function keyPlaces({ contents }: Document, lines: LineCounter): Map<string, string> {
  const places = new Map<string, string>();
  for (const { key } of isMap(contents) ? contents.items : []) {
    if (!isScalar(key) || !key.range) continue;
    const { line, col } = lines.linePos(key.range[0]);
    places.set(String(key.value), `:${line}:${col}`);
  }
  return places;
}

/** TRL reads a text of its file as it reads that of a flag. */
function typedValue(schemas: Schemas, name: string, given: unknown): unknown {
  const schema = Object.values(schemas).find(({ shape }) => Object.hasOwn(shape, name));
  return typeof given === "string" && schema !== undefined
    ? typedText(name, schema.shape[name] as z.ZodType, given)
    : given;
}

// Reads the options of a `--config` file.
import { readFile } from "node:fs/promises";
import { canonicalKeys, expandHome, FileSystemError, namesOf, OptionError, sortOptions } from "@tunesmith/core";
import { parseDocument } from "yaml";
import { trainingSchemas } from "./flags.ts";

/**
 * Reads options from a YAML or JSON file, for example the `config.resolved.yaml` of another run. Keys are the flags' names in
 * camelCase, snake_case or kebab-case.
 */
export async function readConfigFile(file: string): Promise<Record<string, unknown>> {
  const path = expandHome(file);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected a readable configuration file, got ${(cause as Error).message}; check the path`,
      { cause },
    );
  }
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined)
    throw new OptionError(`[${path}] expected YAML or JSON, got ${error.message.split("\n")[0]}; correct the file`);
  const value: unknown = document.toJS();
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new OptionError(
      `[${path}] expected keys and values, got ${Array.isArray(value) ? "a list" : String(value)}; see tunesmith train --help`,
    );
  }
  // All that is wrong with names and values at once, whatever flags say of them.
  sortOptions(trainingSchemas, value, path);
  return canonicalKeys(value, namesOf(trainingSchemas), path);
}

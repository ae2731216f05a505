// Reads the options of a `--config` file.
import { readFile } from "node:fs/promises";
import { canonicalKeys, FileSystemError, OptionError } from "@tunesmith/core";
import { parseDocument } from "yaml";
import { optionNames } from "./flags.ts";

/**
 * Reads options from a YAML or JSON file, for example the `config.resolved.yaml` of another run. Keys are the flags' names in
 * camelCase, snake_case or kebab-case.
 */
export async function readConfigFile(path: string): Promise<Record<string, unknown>> {
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
  return canonicalKeys(value, optionNames, path);
}

// What a trainer is given besides options: from JavaScript it may be anything.
import { expandHome, type LanguageModel, OptionError } from "@tunesmith/core";
import { type DatasetSource, isDatasetSource } from "@tunesmith/data";

/** A source of rows, a path with `~` as the home folder. What is none is an `OptionError`. */
export function parseDataset(name: string, source: DatasetSource): DatasetSource {
  if (isDatasetSource(source)) return typeof source === "string" ? expandHome(source) : source;
  throw new OptionError(
    `[${name}] expected the path of a file or folder, a list of paths, rows or an async iterable of rows, got ${shown(source)}; give one`,
  );
}

/** A model that can be trained. What is none is an `OptionError`. */
export function parseModel(model: LanguageModel): LanguageModel {
  const { info, tokenizer, createSession } = (model ?? {}) as Partial<LanguageModel>;
  if (typeof createSession === "function" && info !== undefined && tokenizer !== undefined) return model;
  throw new OptionError(
    `[model] expected a model, got ${shown(model)}; open one with FastLanguageModel.fromPretrained and await it`,
  );
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null)
    return typeof value === "string" ? JSON.stringify(value) : String(value);
  return value instanceof Promise ? "a promise" : `an object of the class ${value.constructor?.name ?? "null"}`;
}

// Command line flags made from the schemas of the options.
import {
  canonicalName,
  kebabCase,
  loraConfigSchema,
  modelConfigSchema,
  namesOf,
  OptionError,
  sftConfigSchema,
} from "@tunesmith/sdk";
import { type Command, Option } from "commander";
import { z } from "zod";

/** What a flag's value may be, read off the JSON Schema of its option. */
interface ValueKind {
  boolean: boolean;
  number: boolean;
  string: boolean;
  null: boolean;
  /** A list: of names, which commas separate, of texts, which may hold commas, or of numbers. */
  list: "names" | "texts" | "numbers" | null;
  /** Values by name: `NAME=VALUE,…`, or JSON. */
  record: boolean;
  choices: string[];
}

/** The part of a JSON Schema that options use. */
interface JsonSchema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  description?: string;
}

/** What a parser gives for "none"; commander itself would turn null into an empty text. */
const nothing = Symbol("none");

/** The schemas whose options a training run takes, by what they are handed on as. */
export const trainingSchemas = { args: sftConfigSchema, peftConfig: loraConfigSchema, modelConfig: modelConfigSchema };

/** Names of every option that a schema defines. */
export const optionNames: readonly string[] = namesOf(trainingSchemas);

function propertiesOf(schema: z.ZodObject): Record<string, JsonSchema> {
  return z.toJSONSchema(schema, { io: "input" }).properties as Record<string, JsonSchema>;
}

/** Adds one flag per option of the schemas, named in kebab-case. */
export function addSchemaFlags(command: Command): void {
  for (const schema of Object.values(trainingSchemas)) addFlags(command, propertiesOf(schema));
}

/** The same for the options of the model's weights alone. */
export function addModelFlags(command: Command): void {
  addFlags(command, propertiesOf(modelConfigSchema));
}

function addFlags(command: Command, properties: Readonly<Record<string, JsonSchema>>): void {
  for (const [name, schema] of Object.entries(properties)) {
    const kind = kindOf(schema);
    const flag = `--${kebabCase(name)}`;
    const value =
      kind.list !== null
        ? " <values...>"
        : kind.boolean && !kind.number
          ? ` [${["boolean", ...kind.choices].join("|")}]`
          : ` <${valueName(kind)}>`;
    const option = new Option(`${flag}${value}`, schema.description ?? "").argParser((text: string, before: unknown) =>
      parseValue(flag, kind, text, before),
    );
    if (kind.boolean) option.preset("true");
    command.addOption(option);
  }
}

/** Writes flags as commander knows them: `--learning_rate` and TRL's other names become `--learning-rate`. Texts after `--` stay. */
export function normaliseFlags(argv: readonly string[], known: readonly string[]): string[] {
  const end = argv.indexOf("--");
  return argv.map((argument, index) => {
    if (!argument.startsWith("--") || argument === "--" || (end !== -1 && index > end)) return argument;
    const [name = "", ...value] = argument.slice(2).split("=");
    const flag = kebabCase(canonicalName(name));
    return known.includes(`--${flag}`) ? [`--${flag}`, ...value].join("=") : argument;
  });
}

/** The values of the flags that were given. */
export function flagValues(command: Command): Record<string, unknown> {
  const values: Record<string, unknown> = command.opts();
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === nothing ? null : value]));
}

/** The alternatives of a schema, however deep they are nested. */
function formsOf(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf?.flatMap(formsOf) ?? [schema];
}

function kindOf(schema: JsonSchema): ValueKind {
  const forms = formsOf(schema);
  const has = (type: string) => forms.some((form) => form.type === type);
  const items = forms.find((form) => form.type === "array")?.items;
  const named = has("string") ? "names" : "texts";
  const list = items === undefined ? null : items.type === "integer" ? "numbers" : named;
  return {
    boolean: has("boolean"),
    number: has("number") || has("integer"),
    string: has("string"),
    null: has("null"),
    list,
    record: has("object"),
    choices: forms.flatMap((form) => (form.enum ?? []).map(String)),
  };
}

function valueName(kind: ValueKind): string {
  if (kind.choices.length > 0) return kind.choices.join("|");
  if (kind.record) return "name=value,...";
  return kind.number ? "number" : "text";
}

/** The value of a flag. What it may be in detail, the schema checks later; here only its type is found. */
function parseValue(flag: string, kind: ValueKind, text: string, before: unknown): unknown {
  if (kind.list !== null) {
    if (kind.list !== "texts" && kind.null && (text === "none" || text === "null")) return nothing;
    // No module's name holds a character of regular expressions.
    if (kind.list === "names" && (text === "all-linear" || /[*+?()[\]{}|\\^$]/u.test(text))) return text;
    const items = kind.list === "texts" ? [text] : text.split(",");
    const values = kind.list === "numbers" ? items.map((item) => numberOf(flag, item)) : items;
    return [...(Array.isArray(before) ? before : []), ...values];
  }
  // Where a text is an option's value too, its schema reads NAME=VALUE itself.
  if (kind.record && !(kind.string && !text.trimStart().startsWith("{"))) return recordOf(flag, text);
  if (kind.null && (text === "none" || text === "null")) return nothing;
  if (kind.boolean && (text === "true" || text === "false")) return text === "true";
  if (kind.number && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  // Where words stand beside true and false, another word is a mistake in either; elsewhere the schema says what may be.
  if (kind.string && (!kind.boolean || kind.choices.length === 0 || kind.choices.includes(text))) return text;
  const expected = [
    kind.boolean ? "true or false" : "",
    ...kind.choices,
    kind.number ? "a number" : "",
    kind.null ? "none" : "",
  ].filter(Boolean);
  throw new OptionError(
    `[${flag}] expected ${expected.join(" or ")}, got "${text}"; correct it, or leave it out for the default`,
  );
}

function numberOf(flag: string, text: string): number {
  if (text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  throw new OptionError(`[${flag}] expected numbers, got "${text}"; correct it, or leave it out for the default`);
}

/** `NAME=VALUE,NAME=VALUE`, or a JSON object where names hold commas or equals signs. */
function recordOf(flag: string, text: string): Record<string, unknown> {
  try {
    if (text.trimStart().startsWith("{")) return JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new OptionError(`[${flag}] expected JSON, got "${text}" (${String(error)}); correct it`, { cause: error });
  }
  return Object.fromEntries(
    text.split(",").map((entry) => {
      const at = entry.lastIndexOf("=");
      if (at <= 0) throw new OptionError(`[${flag}] expected NAME=VALUE, got "${entry}"; correct it`);
      return [entry.slice(0, at), numberOf(flag, entry.slice(at + 1))];
    }),
  );
}

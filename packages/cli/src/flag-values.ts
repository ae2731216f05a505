// Values of flags: the text of a command line as the type that its option has.
import {
  formsOf,
  type JsonForm,
  type JsonSchema,
  jsonSchemaOf,
  jsonValue,
  OptionError,
  refusedValue,
  valuesByName,
  withCanonicalEntries,
} from "@tunesmith/core";
import type { z } from "zod";

/** What a flag's value may be, read off the JSON Schema of its option. */
export interface ValueKind {
  boolean: boolean;
  number: boolean;
  string: boolean;
  null: boolean;
  /** A list: of names, which commas separate, of texts, which may hold commas, or of numbers. */
  list: "names" | "texts" | "numbers" | null;
  /** Values by name: `NAME=VALUE,…`, or JSON; numbers or texts. */
  record: "numbers" | "texts" | null;
  /** A list whose entries have keys, as JSON. */
  entries: boolean;
  choices: string[];
}

/** What a parser gives for "none"; commander itself would turn null into an empty text. */
export const nothing = Symbol("none");

/** The kind of an option. */
export function kindOf(schema: JsonSchema): ValueKind {
  const forms = formsOf(schema);
  const has = (type: string) => forms.some((form) => form.type === type);
  const items = forms.find((form) => form.type === "array")?.items;
  // Entries that have keys are written as JSON; where a text is a value too, who takes it reads them.
  const hasKeys = items !== undefined && formsOf(items).some((form) => form.type === "object");
  // None of a few choices holds a comma.
  const named = has("string") || items?.enum !== undefined ? "names" : "texts";
  const list =
    items === undefined || hasKeys ? null : items.type === "integer" || items.type === "number" ? "numbers" : named;
  return {
    boolean: has("boolean"),
    number: has("number") || has("integer"),
    string: has("string"),
    null: has("null"),
    list,
    record: has("object") ? recordKind(forms) : null,
    entries: hasKeys && !has("string"),
    choices: forms.flatMap((form) => (form.enum ?? []).map(String)),
  };
}

function recordKind(forms: readonly JsonForm[]): ValueKind["record"] {
  const values = forms.map(({ additionalProperties }) => additionalProperties);
  const isText = values.some((value) => typeof value === "object" && value.type === "string");
  return isText ? "texts" : "numbers";
}

/** How the help shows a flag's value. */
export function placeholder(kind: ValueKind): string {
  if (kind.list !== null) return " <values...>";
  if (kind.boolean && !kind.number) return ` [${["boolean", ...kind.choices].join("|")}]`;
  if (kind.choices.length > 0) return ` <${kind.choices.join("|")}>`;
  if (kind.entries) return " <json>";
  if (kind.record !== null) return " <name=value,...>";
  return kind.number ? " <number>" : " <text>";
}

/** The value of a flag, or an `OptionError` that names the flag. */
export function parseValue(flag: string, kind: ValueKind, option: z.ZodType, text: string, before: unknown): unknown {
  const value = readValue(flag, kind, text, before);
  const plain = value === nothing ? null : value;
  if (!option.safeParse(plain).success) throw new OptionError(refusedValue(flag, option, plain));
  return value;
}

/** A text of a configuration file as the type that its option has, where the option takes no such text; as argparse reads defaults. */
export function typedText(name: string, option: z.ZodType, text: string): unknown {
  if (option.safeParse(text).success) return text;
  const value = readValue(name, kindOf(jsonSchemaOf(option)), text, undefined);
  return value === nothing ? null : value;
}

/** A flag's text as the type that its option has; what is of no such type stays a text. */
function readValue(flag: string, kind: ValueKind, text: string, before: unknown): unknown {
  const isNothing = kind.null && /^(?:none|null)$/iu.test(text);
  if (kind.list !== null) {
    if (kind.list !== "texts" && isNothing) return nothing;
    if (kind.record !== null && isJson(text)) return jsonValue(text, flag);
    // No module's name holds a character of regular expressions.
    if (kind.list === "names" && (text === "all-linear" || /[*+?()[\]{}|\\^$]/u.test(text))) return text;
    const items = kind.list === "texts" ? [text] : text.split(",");
    const values = kind.list === "numbers" ? items.map((item) => numberOf(flag, item)) : items;
    return [...(Array.isArray(before) ? before : []), ...values];
  }
  if (isNothing) return nothing;
  if (kind.entries) return withCanonicalEntries(jsonValue(text, flag));
  // Where a text is an option's value too, its schema reads NAME=VALUE itself.
  if (kind.record !== null && !(kind.string && !isJson(text))) return recordOf(flag, text, kind.record);
  const truth = kind.boolean ? truthOf(text, kind) : null;
  if (truth !== null) return truth;
  return kind.number && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** A truth value in the spellings of transformers' command line; where a number or a text is a value too, in Python's alone. */
function truthOf(text: string, { number, string }: ValueKind): boolean | null {
  const [yes, no] = number || string ? [/^true$/iu, /^false$/iu] : [/^(?:true|yes|t|y|1)$/iu, /^(?:false|no|f|n|0)$/iu];
  if (yes.test(text)) return true;
  return no.test(text) ? false : null;
}

function numberOf(flag: string, text: string): number {
  if (text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  throw new OptionError(`[${flag}] expected numbers, got "${text}"; correct it, or leave it out for the default`);
}

function isJson(text: string): boolean {
  return /^\s*(?:\{|\[\s*["{])/u.test(text);
}

/** `NAME=VALUE,NAME=VALUE`, or a JSON object where names hold commas or equals signs. */
function recordOf(flag: string, text: string, values: "numbers" | "texts"): Record<string, unknown> {
  if (isJson(text)) return jsonValue(text, flag) as Record<string, unknown>;
  return valuesByName(text.split(","), flag, (entry) => {
    // Patterns of names may hold an equals sign, and so may names of columns.
    const at = values === "numbers" ? entry.lastIndexOf("=") : entry.indexOf("=");
    const value = entry.slice(at + 1);
    return at <= 0 ? null : [entry.slice(0, at), values === "numbers" ? numberOf(flag, value) : value];
  });
}

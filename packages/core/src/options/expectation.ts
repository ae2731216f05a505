// What a value of an option may be, in the words of an error message.
import type { z } from "zod";
import { formsOf, type JsonForm, type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import { nearestName } from "./names.ts";

/**
 * `[place] expected …, got …; what to do` for a value that an option refuses. Where the option has choices, the advice is the one
 * nearest to the value.
 */
export function refusedValue(
  place: string,
  option: z.ZodType,
  value: unknown,
  advice = adviceOf(option) ?? "correct it, or leave it out for the default",
): string {
  const schema = jsonSchemaOf(option);
  const nearest = typeof value === "string" ? nearestName(value, choicesOf(schema).map(String)) : null;
  const hint = nearest === null ? advice : `did you mean ${JSON.stringify(nearest)}?`;
  return `[${place}] expected ${inWords(schema)}, got ${shown(value)}; ${hint}`;
}

/** The same for a value that no schema describes. */
export function refusedKind(place: string, expected: string, value: unknown): string {
  return `[${place}] expected ${expected}, got ${shown(value)}; correct it`;
}

/** The same for the first issue of a value with values inside, at the place inside it. */
export function refusedInside(place: string, option: z.ZodType, value: unknown, issue: z.core.$ZodIssue): string {
  let [at, schema, inner]: [string, JsonSchema, unknown] = [place, jsonSchemaOf(option), value];
  for (const step of issue.path) {
    schema = partOf(schema, step, inner);
    at += typeof step === "number" ? `[${step}]` : `.${String(step)}`;
    inner = (inner as Record<PropertyKey, unknown> | undefined)?.[step];
  }
  if (issue.code === "unrecognized_keys") {
    const known = meantFor(schema, inner).flatMap(({ properties = {} }) => Object.keys(properties));
    return `[${at}] expected only ${known.join(", ")}, got ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}; remove it`;
  }
  return `[${at}] expected ${inWords(schema)}, got ${shown(inner)}; correct this argument`;
}

/** The schema of an entry. */
function partOf(schema: JsonSchema, step: PropertyKey, value: unknown): JsonSchema {
  const parts = meantFor(schema, value).flatMap(({ properties, items, additionalProperties }) => {
    if (typeof step === "number") return items ?? [];
    return properties?.[String(step)] ?? (typeof additionalProperties === "object" ? additionalProperties : []);
  });
  return parts.length === 1 ? (parts[0] as JsonSchema) : { anyOf: parts };
}

/** The alternatives of a schema that a value may have been meant for: by its `type`, else by its kind. */
function meantFor(schema: JsonSchema, value: unknown): JsonSchema[] {
  const forms = formsOf(schema);
  const type = (value as { type?: unknown } | null | undefined)?.type;
  const named = forms.filter(({ properties }) => type !== undefined && properties?.type?.const === type);
  return named.length > 0 ? named : forms.filter((form) => form.type === (Array.isArray(value) ? "array" : "object"));
}

function choicesOf(schema: JsonSchema): unknown[] {
  return formsOf(schema).flatMap(({ enum: several, const: only }) => several ?? (only === undefined ? [] : [only]));
}

function inWords(schema: JsonSchema): string {
  return formsOf(schema).map(formInWords).join(" or ");
}

function formInWords(form: JsonForm): string {
  const { type, items, properties, additionalProperties, minItems, minLength, pattern } = form;
  if (form.not !== undefined) return "nothing";
  const choices = choicesOf(form).map((choice) => JSON.stringify(choice));
  if (choices.length > 0) return choices.length === 1 ? String(choices[0]) : `one of ${choices.join(", ")}`;
  if (properties !== undefined) return `an object with ${Object.keys(properties).join(", ")}`;
  if (type === "object")
    return `values by name, each ${inWords(typeof additionalProperties === "object" ? additionalProperties : {})}`;
  if (type === "array")
    return `a list${minItems === 1 ? " that is not empty" : ""}, each entry ${inWords(items ?? {})}`;
  if (type === "boolean") return "true or false";
  if (pattern !== undefined) return `a text that matches ${pattern}`;
  if (type === "string") return minLength === 1 ? "a text that is not empty" : "a text";
  if (type === "integer" || type === "number") return numberInWords(form);
  return type === undefined ? "a value" : String(type);
}

/** What an option itself says of values that it refuses. */
function adviceOf(option: z.ZodType): string | null {
  return (option.meta()?.advice as string | undefined) ?? null;
}

function numberInWords({ type, minimum, exclusiveMinimum, maximum, exclusiveMaximum }: JsonSchema): string {
  const bounds = [
    exclusiveMinimum === undefined ? null : `above ${exclusiveMinimum}`,
    // Whole numbers end where JavaScript can no longer tell them apart: that goes without saying.
    minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? null : `of at least ${minimum}`,
    exclusiveMaximum === undefined ? null : `below ${exclusiveMaximum}`,
    maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? null : `of at most ${maximum}`,
  ].filter((bound) => bound !== null);
  return [type === "integer" ? "a whole number" : "a number", bounds.join(" and ")].filter(Boolean).join(" ");
}

/** NaN and infinities have no JSON form, and from JavaScript anything may come. */
export function shown(value: unknown): string {
  if (typeof value === "number") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  try {
    const inner = (_: string, entry: unknown) => (typeof entry === "function" ? "a function" : entry);
    return JSON.stringify(value, inner) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

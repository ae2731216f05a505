// What a value of an option may be, in the words of an error message.
import { z } from "zod";
import { nearestName } from "./names.ts";

/** The part of a JSON Schema that options use. */
interface JsonSchema {
  type?: string;
  enum?: string[];
  const?: string;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  additionalProperties?: JsonSchema;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
}

/**
 * `[place] expected …, got …; what to do` for a value that an option refuses. Where the option has choices, the advice is the one
 * nearest to the value.
 */
export function refusedValue(place: string, option: z.ZodType, value: unknown): string {
  const schema = z.toJSONSchema(option, { io: "input" }) as JsonSchema;
  const nearest = typeof value === "string" ? nearestName(value, choicesOf(schema)) : null;
  const advice =
    nearest === null ? "correct it, or leave it out for the default" : `did you mean ${JSON.stringify(nearest)}?`;
  return `[${place}] expected ${inWords(schema)}, got ${shown(value)}; ${advice}`;
}

function choicesOf({ anyOf, enum: choices, const: only }: JsonSchema): string[] {
  if (anyOf !== undefined) return anyOf.flatMap(choicesOf);
  return choices ?? (only === undefined ? [] : [only]);
}

function inWords(schema: JsonSchema): string {
  const { type, anyOf, items } = schema;
  if (anyOf !== undefined) return anyOf.map(inWords).join(" or ");
  const choices = choicesOf(schema).map((choice) => JSON.stringify(choice));
  if (choices.length > 0) return choices.length === 1 ? String(choices[0]) : `one of ${choices.join(", ")}`;
  if (type === "object") return `values by name, each ${inWords(schema.additionalProperties ?? {})}`;
  if (type === "array") return `a list that is not empty, each entry ${inWords(items ?? {})}`;
  if (type === "boolean") return "true or false";
  if (type === "string") return "a text that is not empty";
  if (type === "integer" || type === "number") return numberInWords(schema);
  return String(type);
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

/** NaN and infinities have no JSON form. */
function shown(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
}

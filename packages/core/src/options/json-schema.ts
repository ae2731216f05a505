// Options as JSON Schema: what messages, flags, types and documents are made from.
import * as z from "zod";
import type { Influence, OptionGroup } from "./declare.ts";
import type { Reason, Verdict } from "./field/verdicts.ts";

/** The part of JSON Schema that options use. */
export interface JsonSchema {
  title?: string;
  description?: string;
  type?: string | string[] | undefined;
  enum?: unknown[];
  pattern?: string;
  const?: unknown;
  default?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  not?: JsonSchema;
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  minItems?: number;
  minLength?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  /** What the option is about; of ours. */
  group?: OptionGroup;
  /** What it decides; of ours. */
  influence?: Influence;
  /** Whether it is a name of the field without an effect here; of ours. */
  verdict?: Verdict;
  /** Why it has no effect; of ours. */
  why?: string;
  /** What kind of thing is lacking; of ours. */
  reason?: Reason;
  /** Whether null asks for the default; of ours. */
  noneIsDefault?: boolean;
  /** What to do about a value that is refused; of ours. */
  advice?: string;
}

/** An option as its schema declares it. */
export interface DeclaredOption {
  /** In camelCase. */
  name: string;
  group: OptionGroup;
  /** What it decides. */
  influence: Influence;
  /** Meaning, default, and where that comes from. */
  description: string;
  schema: JsonSchema;
}

/** What a schema takes, as JSON Schema. */
export function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: "input", target: "draft-7" }) as JsonSchema;
}

const declared = new WeakMap<z.ZodObject, readonly DeclaredOption[]>();

/** The options of a schema, in its order. */
export function optionsOf(schema: z.ZodObject): DeclaredOption[] {
  const known = declared.get(schema) ?? declaredOf(schema);
  declared.set(schema, known);
  return [...known];
}

function declaredOf(schema: z.ZodObject): DeclaredOption[] {
  return Object.entries(jsonSchemaOf(schema).properties ?? {}).map(([name, option]) => ({
    name,
    group: option.group ?? "run",
    influence: option.influence ?? "numbers",
    description: option.description ?? "",
    schema: option,
  }));
}

/** A schema without alternatives. */
export interface JsonForm extends JsonSchema {
  type?: string | undefined;
}

/** The alternatives of a schema, however deep they are nested. */
export function formsOf(schema: JsonSchema): JsonForm[] {
  const { type, anyOf, oneOf } = schema;
  if (Array.isArray(type)) return type.map((one) => ({ ...schema, type: one }));
  return (anyOf ?? oneOf)?.flatMap(formsOf) ?? [{ ...schema, type }];
}

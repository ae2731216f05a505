// docs/tunesmith.schema.json: what a configuration file may hold, for editors that complete and check it.
import { type JsonSchema, optionsOf, snakeCase } from "@tunesmith/core";
import { fileSchemas } from "./all.ts";

/** `docs/tunesmith.schema.json`. */
export function fileSchema(): string {
  const options = fileSchemas.flatMap(optionsOf);
  const properties = Object.fromEntries(options.map(({ name, schema }) => [name, tidy(schema)]));
  const spellings = options
    .filter(({ name }) => snakeCase(name) !== name)
    .map(({ name }) => [snakeCase(name), { $ref: `#/properties/${name}` }]);
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Configuration of a Tunesmith run",
    type: "object",
    additionalProperties: false,
    properties: { ...properties, ...Object.fromEntries(spellings) },
  };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** Without what is no JSON Schema, and without the ends of what JavaScript tells apart, which go without saying. */
function tidy(schema: JsonSchema): JsonSchema {
  const { minimum, maximum, anyOf, items, additionalProperties, ...rest } = withoutOurs(schema);
  return {
    ...rest,
    ...(minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? {} : { minimum }),
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? {} : { maximum }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(tidy) }),
    ...(items === undefined ? {} : { items: tidy(items) }),
    ...(typeof additionalProperties === "object" ? { additionalProperties: tidy(additionalProperties) } : {}),
  };
}

/** Without what only options have. */
function withoutOurs({
  group: _,
  influence: _i,
  verdict: _v,
  why: _w,
  reason: _r,
  advice: _a,
  noneIsDefault: _n,
  ...rest
}: JsonSchema): JsonSchema {
  return rest;
}

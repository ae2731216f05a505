// The public types of options: one interface per schema, its members described as the schema describes them.
import {
  type DeclaredOption,
  dpoConfigSchema,
  formsOf,
  grpoConfigSchema,
  type JsonForm,
  type JsonSchema,
  optionsOf,
  sftConfigSchema,
  trainingArgumentsSchema,
} from "@tunesmith/core";
import type { z } from "zod";
import { type NamedSchema, publicSchemas, titleOf } from "./all.ts";

/** Columns of a line at most, as the formatter has them. */
const width = 120;

const ofRuns: readonly z.ZodObject[] = [trainingArgumentsSchema, sftConfigSchema];
const ofPreferences: readonly z.ZodObject[] = [dpoConfigSchema];
const ofRewards: readonly z.ZodObject[] = [grpoConfigSchema];

/** `packages/core/src/options/types.ts`: the options of runs. */
export function optionTypes(): string {
  return typesOfSchemas(publicSchemas.filter(({ schema }) => ofRuns.includes(schema)));
}

/** `packages/core/src/options/preference-types.ts`: the options of runs on preferences. */
export function preferenceTypes(): string {
  return typesOfSchemas(publicSchemas.filter(({ schema }) => ofPreferences.includes(schema)));
}

/** `packages/core/src/options/reward-types.ts`: the options of runs on rewards. */
export function rewardTypes(): string {
  return typesOfSchemas(publicSchemas.filter(({ schema }) => ofRewards.includes(schema)));
}

/** `packages/core/src/options/model-types.ts`: the options of models, their adapters, and where and how they compute. */
export function modelTypes(): string {
  return typesOfSchemas(
    publicSchemas.filter(({ schema }) => ![...ofRuns, ...ofPreferences, ...ofRewards].includes(schema)),
  );
}

function typesOfSchemas(schemas: readonly NamedSchema[]): string {
  const names = schemas.filter(ofTheField).map(({ schema }) => `${titleOf(schema)}Names`);
  const bases = schemas.flatMap(({ extends: base }) =>
    base === undefined || schemas.some(({ schema }) => schema === base) ? [] : [titleOf(base)],
  );
  const head = "// The options of schemas as types; written by `npm run generate`.\n";
  const used = [
    ...(names.length === 0 ? [] : [`import type { ${names.sort().join(", ")} } from "./field/types.ts";\n`]),
    ...(bases.length === 0 ? [] : [`import type { ${bases.join(", ")} } from "./types.ts";\n`]),
  ];
  const all = schemas.map(({ schema, extends: base }) => interfaceOf(schema, base));
  return [head + used.join(""), ...all].join("\n");
}

/** `packages/core/src/options/field/types.ts`: the options without an effect, an interface for each schema that has some. */
export function fieldTypes(): string {
  const head = "// Names of the field without an effect here, as types; written by `npm run generate`.\n";
  const all = publicSchemas.filter(ofTheField).map(({ schema, extends: base }) => {
    const members = membersOf(schema, base).filter(({ schema: { verdict } }) => verdict !== undefined);
    const title = titleOf(schema);
    const description = `Names of ${title} without an effect here: taken, or not there yet.`;
    return `${comment(description, "")}export interface ${title}Names {\n${members.map(memberOf).join("")}}\n`;
  });
  return [head, ...all].join("\n");
}

function ofTheField({ schema, extends: base }: NamedSchema): boolean {
  return membersOf(schema, base).some(({ schema: { verdict } }) => verdict !== undefined);
}

/** Of options that the base has as well, those that differ. */
function membersOf(schema: z.ZodObject, base?: z.ZodObject): DeclaredOption[] {
  const inherited = new Map(base === undefined ? [] : optionsOf(base).map((option) => [option.name, memberOf(option)]));
  return optionsOf(schema).filter((option) => inherited.get(option.name) !== memberOf(option));
}

/** One interface; of an option that the base has as well, only what differs is written again. */
export function interfaceOf(schema: z.ZodObject, base?: z.ZodObject): string {
  const members = membersOf(schema, base).filter(({ schema: { verdict } }) => verdict === undefined);
  const parents = [
    ...(base === undefined ? [] : [titleOf(base)]),
    ...(ofTheField({ schema, ...(base !== undefined && { extends: base }) }) ? [`${titleOf(schema)}Names`] : []),
  ];
  const parent = parents.length === 0 ? "" : ` extends ${parents.join(", ")}`;
  return `${comment(schema.meta()?.description ?? "", "")}export interface ${titleOf(schema)}${parent} {\n${members.map(memberOf).join("")}}\n`;
}

function memberOf({ name, description, schema }: DeclaredOption): string {
  const types = [...typesOf(schema), "undefined"];
  const line = `  ${name}?: ${types.join(" | ")};`;
  const member = line.length <= width ? line : `  ${name}?:\n${types.map(alternative).join("\n")};`;
  return `${comment(description, "  ")}${member}\n`;
}

/** A type on a line of its own; a list of more choices than fit has a line for each, as the formatter has it. */
function alternative(type: string): string {
  const line = `    | ${type}`;
  const [, choices] = /^\((.*)\)\[\]$/u.exec(type) ?? [];
  if (line.length <= width || choices === undefined) return line;
  return `    | (\n${choices
    .split(" | ")
    .map((choice) => `        | ${choice}\n`)
    .join("")}      )[]`;
}

function typesOf(schema: JsonSchema): string[] {
  const types = [...new Set(formsOf(schema).flatMap(typesOfForm))];
  // A literal beside any text would be forgotten, and with it its completion.
  return types.some((type) => type.startsWith('"'))
    ? types.map((type) => (type === "string" ? "(string & {})" : type))
    : types;
}

function typesOfForm({
  type,
  enum: choices,
  const: only,
  items,
  properties,
  required = [],
  additionalProperties,
  not,
}: JsonForm): string[] {
  if (choices !== undefined) return choices.map((choice) => JSON.stringify(choice));
  if (only !== undefined) return [JSON.stringify(only)];
  if (type === "integer") return ["number"];
  if (type === "array") {
    const inner = typesOf(items ?? {});
    return [inner.length > 1 ? `(${inner.join(" | ")})[]` : `${inner[0]}[]`];
  }
  if (type === "object" && typeof additionalProperties === "object")
    return [`Record<string, ${typesOf(additionalProperties).join(" | ")}>`];
  if (type === "object" && properties !== undefined)
    return [
      `{\n${Object.entries(properties)
        .map(([name, value]) => fieldOf(name, value, required.includes(name)))
        .join("")}      }`,
    ];
  return [type === undefined ? (not === undefined ? "unknown" : "never") : String(type)];
}

/** A field of an object that is an entry of a list; such an option has several lines. */
function fieldOf(name: string, value: JsonSchema, isRequired: boolean): string {
  const types = typesOf(value);
  return `        ${name}${isRequired ? "" : "?"}: ${(isRequired ? types : [...types, "undefined"]).join(" | ")};\n`;
}

/** A doc comment, on one line where it fits. */
function comment(text: string, indent: string): string {
  const short = `${indent}/** ${text} */\n`;
  if (short.length <= width + 1) return short;
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && indent.length + 3 + line.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}\n`).join("")}${indent} */\n`;
}

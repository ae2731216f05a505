// What crosses to the engine has the same fields on both sides: the schemas in packages/core/src/options and the structs of Rust.
import {
  adafactorSchema,
  adagradSchema,
  adamwSchema,
  ademamixSchema,
  engineOptionsSchema,
  lionSchema,
  lorafaSchema,
  loraOptionsSchema,
  modelConfigSchema,
  muonSchema,
  optimizerSchemas,
  parameterGroupSchema,
  parameterKinds,
  rmspropSchema,
  savedAdapterSchema,
  scheduleFreeSchema,
  sgdSchema,
  snakeCase,
  weightsSchema,
} from "@tunesmith/core";
import type { z } from "zod";
import { holds, type Rule, type Tree, withoutComments } from "./tree.ts";

/** Structs by name, each with the schema whose options it holds. The tag `type` chooses the struct and is no field of it. */
const structs: Readonly<Record<string, z.ZodObject>> = {
  SessionOptions: engineOptionsSchema,
  WeightOptions: weightsSchema,
  AdapterConfig: loraOptionsSchema,
  AdamWOptions: adamwSchema,
  SgdOptions: sgdSchema,
  LionOptions: lionSchema,
  ScheduleFreeOptions: scheduleFreeSchema,
  RmsPropOptions: rmspropSchema,
  AdagradOptions: adagradSchema,
  AdEmaMixOptions: ademamixSchema,
  AdafactorOptions: adafactorSchema,
  MuonOptions: muonSchema,
  LoraFaOptions: lorafaSchema,
  ParameterGroup: parameterGroupSchema,
};

/** Enums by name, each with the words it is told by. */
const enums: Readonly<Record<string, readonly string[]>> = {
  ParameterKind: parameterKinds,
  WeightDtype: modelConfigSchema.shape.dtype.unwrap().options,
  QuantType: modelConfigSchema.shape.bnb4bitQuantType.unwrap().options,
  OptimizerOptions: optimizerSchemas.map(({ shape }) => shape.type.value),
  AdapterOptions: [loraOptionsSchema, savedAdapterSchema].map(({ shape }) => shape.type.value),
};

/** An item of Rust: its attributes, and what stands between its braces. */
interface Item {
  path: string;
  attributes: string;
  body: string;
}

/** The struct or enum of a name that is read from JSON. */
function itemOf(tree: Tree, kind: "struct" | "enum", name: string): Item | null {
  const pattern = new RegExp(`((?:^#\\[.*\\]\\n)*)^pub ${kind} ${name} \\{\\n([\\s\\S]*?)^\\}`, "m");
  for (const path of tree.matching(/^crates\/(?:engine|formats)\/src\/.*\.rs$/)) {
    const [, attributes = "", body = ""] =
      pattern.exec(withoutComments(tree.text(path)).replaceAll(/^\s*\n/gm, "")) ?? [];
    if (attributes.includes("Deserialize")) return { path, attributes, body };
  }
  return null;
}

/** serde's camelCase of a field: load_in_4bit → loadIn4bit */
const camel = (name: string) => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Fields that JSON has, by the names it has them under. */
const fieldsOf = ({ body }: Item): string[] =>
  [...body.matchAll(/((?:^ {4}#\[.*\]\n)*)^ {4}pub (\w+):/gm)]
    .filter(([, attributes]) => !attributes?.includes("serde(skip)"))
    .map(([, , name = ""]) => camel(name));

/** Variants under the words that `rename_all` makes of them. */
function wordsOf({ attributes, body }: Item): string[] {
  const names = [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, name = ""]) => name);
  if (attributes.includes('rename_all = "snake_case"')) return names.map((name) => snakeCase(name).replace(/^_/, ""));
  return names.map((name) => name.toLowerCase());
}

/** What one side has and the other has not. */
function differences({ path }: Item, name: string, there: readonly string[], here: readonly string[]): string[] {
  return [
    ...here
      .filter((word) => !there.includes(word))
      .map((word) => `${path}: ${name} lacks ${word}, which the schema has`),
    ...there.filter((word) => !here.includes(word)).map((word) => `${path}: ${name} has ${word}, which no schema has`),
  ];
}

const structsHaveTheSchemasFields: Rule = (tree) =>
  Object.entries(structs).flatMap(([name, schema]) => {
    const item = itemOf(tree, "struct", name);
    if (item === null) return [`crates: no struct ${name} is read from JSON`];
    const options = Object.keys(schema.shape).filter((option) => option !== "type");
    const strict = /rename_all = "camelCase"/.test(item.attributes) && /deny_unknown_fields/.test(item.attributes);
    const loose = strict ? [] : [`${item.path}: ${name} must be camelCase and deny unknown fields`];
    return [...loose, ...differences(item, name, fieldsOf(item), options)];
  });

const enumsHaveTheSchemasWords: Rule = (tree) =>
  Object.entries(enums).flatMap(([name, words]) => {
    const item = itemOf(tree, "enum", name);
    return item === null
      ? [`crates: no enum ${name} is read from JSON`]
      : differences(item, name, wordsOf(item), words);
  });

const derived = (attributes: string) => `#[derive(Debug, Deserialize)]\n#[serde(${attributes})]\n`;
const strictly = 'rename_all = "camelCase", deny_unknown_fields';

/** The structs as Rust would hold them. */
const rust = Object.fromEntries(
  Object.entries(structs).map(([name, { shape }]) => {
    const fields = Object.keys(shape).filter((option) => option !== "type");
    const lines = fields.map((field) => `    /// Meaning.\n    pub ${snakeCase(field)}: f64,\n`);
    return [name, `${derived(strictly)}pub struct ${name} {\n${lines.join("")}}\n`];
  }),
);
const broken = {
  WeightOptions: rust.WeightOptions?.replace("    pub cache_dir: f64,\n", ""),
  AdapterConfig: rust.AdapterConfig?.replace("    pub r: f64,\n", "    pub r: f64,\n    pub rank: usize,\n").replace(
    "    pub use_dora",
    "    #[serde(skip)]\n    pub revision: String,\n    pub use_dora",
  ),
  AdamWOptions: rust.AdamWOptions?.replace(", deny_unknown_fields", ""),
  SgdOptions: rust.SgdOptions?.replace("Deserialize", "Clone"),
};

holds(
  "the engine's structs have the fields of the schemas",
  structsHaveTheSchemasFields,
  { "crates/engine/src/options.rs": Object.values({ ...rust, ...broken }).join("\n") },
  [
    /WeightOptions lacks cacheDir/,
    /AdapterConfig has rank, which no schema has/,
    /AdamWOptions must be camelCase and deny unknown fields/,
    /no struct SgdOptions is read from JSON/,
  ],
);

const variants = optimizerSchemas
  .map(({ shape }) => shape.type.value)
  .map((word) => `    ${word[0]?.toUpperCase()}${word.slice(1)}(Options),\n`)
  .join("");

holds(
  "the engine's enums have the words of the schemas",
  enumsHaveTheSchemasWords,
  {
    "crates/engine/src/options.rs": [
      `${derived('rename_all = "snake_case"')}pub enum ParameterKind {\n    Decay,\n    NoDecay,\n    Embedding,\n    LoraA,\n}\n`,
      `${derived('rename_all = "lowercase"')}pub enum WeightDtype {\n    Auto,\n    Float32,\n    Bfloat16,\n}\n`,
      `${derived('rename_all = "lowercase"')}pub enum QuantType {\n    Nf4,\n    Fp4,\n}\n`,
      `${derived('tag = "type"')}pub enum OptimizerOptions {\n${variants}}\n`,
      `${derived('tag = "type"')}pub enum AdapterOptions {\n    Lora(AdapterConfig),\n    Saved {\n        path: PathBuf,\n    },\n}\n`,
    ].join("\n"),
  },
  [/ParameterKind lacks lora_b/, /ParameterKind has lora_a/, /QuantType has fp4/],
);

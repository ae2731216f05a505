// The table of names: every field of the classes of options of transformers, TRL and PEFT, and what becomes of it here.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  canonicalName,
  type DeclaredOption,
  loraConfigSchema,
  modelConfigSchema,
  optionsOf,
  runInputsSchema,
  scriptArgumentsSchema,
  scriptDefaults,
  sftConfigSchema,
} from "@tunesmith/core";
import type { z } from "zod";
import { type Difference, deviations } from "./deviations.ts";

/** Where the table is. */
export const tablePath = "docs/names.json";

/** A field as its class declares it. */
export interface Field {
  class: "TrainingArguments" | "SFTConfig" | "ScriptArguments" | "ModelConfig" | "LoraConfig";
  name: string;
  type: string;
  default: unknown;
}

/** A field with what becomes of it here. */
export interface NameRow extends Field {
  verdict: "works" | "taken" | "not yet" | "unknown";
  /** The option that it is here. */
  option: string;
  /** Default here, where it is another. */
  ours?: unknown;
  /** What kind of difference that is. */
  difference?: Difference | "unnamed";
  /** Why the default is another, why nothing has to be done, or what is lacking. */
  why?: string;
  /** What kind of thing is lacking. */
  reason?: string;
}

/** The table. */
export interface NameTable {
  /** Libraries and their versions. */
  versions: Readonly<Record<string, string>>;
  names: NameRow[];
  counts: Record<string, number>;
}

/** Schemas that take the fields of a class, and the defaults that are others where they are taken. */
const takers: Readonly<Record<Field["class"], readonly z.ZodObject[]>> = {
  TrainingArguments: [sftConfigSchema],
  SFTConfig: [sftConfigSchema],
  LoraConfig: [loraConfigSchema],
  ScriptArguments: [scriptArgumentsSchema, runInputsSchema, sftConfigSchema],
  ModelConfig: [scriptArgumentsSchema, runInputsSchema, modelConfigSchema, loraConfigSchema],
};

/** The table as it is written down. */
export function readTable(root: string): NameTable {
  return JSON.parse(readFileSync(join(root, tablePath), "utf8")) as NameTable;
}

/** The table of these fields, with what the schemas say of each. */
export function nameTable(versions: NameTable["versions"], fields: readonly Field[]): NameTable {
  const names = fields.map(rowOf);
  return { versions, names, counts: countsOf(names) };
}

/** `docs/names.json`, its verdicts read from the schemas again. */
export function namesJson(root: string): string {
  const { versions, names } = readTable(root);
  const fields = names.map(({ class: of, name, type, default: theirs }) => ({
    class: of,
    name,
    type,
    default: theirs,
  }));
  return written(nameTable(versions, fields));
}

/** The table as text: a line for each name. */
export function written({ versions, names, counts }: NameTable): string {
  const rows = names.map((row) => `    ${JSON.stringify(row)}`).join(",\n");
  return `{\n  "versions": ${JSON.stringify(versions)},\n  "names": [\n${rows}\n  ],\n  "counts": ${JSON.stringify(counts)}\n}\n`;
}

/** The option that takes a field; undefined where none does. */
export function optionOf({ class: of, name }: Pick<Field, "class" | "name">): DeclaredOption | undefined {
  const option = canonicalName(name);
  return takers[of].flatMap(optionsOf).find((declared) => declared.name === option);
}

function rowOf(field: Field): NameRow {
  const declared = optionOf(field);
  const { class: of, name, type, default: theirs } = field;
  const plain: Field = { class: of, name, type, default: theirs };
  if (declared === undefined) return { ...plain, verdict: "unknown", option: canonicalName(name) };
  const { name: option, schema } = declared;
  const { verdict, why: said = "", reason } = schema;
  if (verdict === "taken") return { ...plain, verdict, option, why: said };
  if (verdict === "not yet") return { ...plain, verdict, option, why: said, ...(reason && { reason }) };
  const ours = defaultOf(field, declared);
  if (JSON.stringify(ours) === JSON.stringify(theirs)) return { ...plain, verdict: "works", option };
  const [difference, why] = deviations[`${of}.${option}`] ?? deviations[option] ?? ["unnamed", "unnamed"];
  return { ...plain, verdict: "works", option, ours, difference, why };
}

/** The default of an option where the fields of a class are taken. */
function defaultOf({ class: of }: Field, { name, schema }: DeclaredOption): unknown {
  const command: Readonly<Record<string, unknown>> =
    of === "ScriptArguments" || of === "ModelConfig" ? scriptDefaults : {};
  return Object.hasOwn(command, name) ? command[name] : schema.default;
}

function countsOf(rows: readonly NameRow[]): Record<string, number> {
  const counts: Record<string, number> = { names: rows.length };
  const add = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  for (const { verdict, reason, difference } of rows) {
    add(verdict);
    if (reason !== undefined) add(`not yet: ${reason}`);
    if (difference !== undefined) add(`another default: ${difference}`);
  }
  // Of each verdict together.
  const order = ["names", "works", "another default", "taken", "not yet"];
  const place = (name: string) => order.indexOf(name.split(": ")[0] ?? "");
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => place(a) - place(b) || (a < b ? -1 : 1)));
}

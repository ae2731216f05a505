// Every public option says what it does and what its default is.
import { optionsOf, snakeCase } from "@tunesmith/core";
import { expect, test } from "vitest";
import { z } from "zod";
import { fileSchemas, publicSchemas } from "../../scripts/options/all.ts";
import { holds, type Rule } from "./tree.ts";

const schemas = [...new Set([...publicSchemas.map(({ schema }) => schema), ...fileSchemas])];

/** Options whose description lacks a sentence of meaning or the default. */
function undescribed(schema: z.ZodObject): string[] {
  return optionsOf(schema)
    .filter(({ description }) => !/^\S.*[.:;].*\bDefault\b/.test(description))
    .map(({ name }) => name);
}

test("every option of the schemas says what it means and what its default is", () => {
  expect(schemas.flatMap(undescribed)).toEqual([]);
});

test("every option of the schemas says what it means and what its default is: a breach is noticed", () => {
  const schema = z.object({
    good: z.int().describe("Rows. Default 8 (TRL)."),
    bare: z.int(),
    mute: z.int().describe("Rows."),
  });
  expect(undescribed(schema)).toEqual(["bare", "mute"]);
});

/** Options that name another default than they have; null and what is no plain value may be put in other words. */
function misdescribed(schema: z.ZodObject): string[] {
  return optionsOf(schema)
    .filter(({ schema: { default: value } }) => value !== null && typeof value !== "object")
    .filter(({ description, schema: { default: value } }) => !description.includes(`Default ${String(value)}`))
    .map(({ name, schema: { default: value } }) => `${name}: ${String(value)}`);
}

test("a description names the default that the option has", () => {
  expect(schemas.flatMap(misdescribed)).toEqual([]);
});

test("a description names the default that the option has: a breach is noticed", () => {
  const schema = z.object({
    good: z.int().default(8).describe("Rows. Default 8 (TRL)."),
    null: z.int().nullable().default(null).describe("Rows. Default: all."),
    wrong: z.int().default(4).describe("Rows. Default 8 (TRL)."),
  });
  expect(misdescribed(schema)).toEqual(["wrong: 4"]);
});

/** Names that two options of one file share, in any spelling. */
function ambiguous(schemas: readonly z.ZodObject[]): string[] {
  const names = schemas.flatMap(optionsOf).map(({ name }) => snakeCase(name).replaceAll("_", ""));
  return names.filter((name, index) => names.indexOf(name) !== index);
}

test("an option of a configuration file is one option, in every spelling", () => {
  expect(ambiguous(fileSchemas)).toEqual([]);
  expect(ambiguous([z.object({ maxSteps: z.int() }), z.object({ maxsteps: z.int() })])).toEqual(["maxsteps"]);
});

/** Optional members of exported interfaces named `…Options`: what a caller may leave out needs a doc comment. */
const optionsAreDocumented: Rule = (tree) =>
  tree
    .matching(/^packages\/[^/]+\/src\/.*(?<!\.test)\.ts$/)
    .filter((path) => !path.includes("/testing/"))
    .flatMap((path) =>
      [...tree.text(path).matchAll(/^export interface (\w+(?:Options|Config))\b[^{]*\{\n([\s\S]*?)^\}/gm)].flatMap(
        ([, name, body = ""]) =>
          [...body.matchAll(/(^.*\n)? {2}(?:readonly )?(\w+)\?:/gm)]
            .filter((match) => !/\*\/\s*$/.test(match[1] ?? ""))
            .map((match) => `${path}: ${name}.${match[2]} has no doc comment`),
      ),
    );

holds(
  "every option that may be left out has a doc comment",
  optionsAreDocumented,
  {
    "packages/native/src/load.ts":
      "export interface LoadOptions {\n  /** Threads. */\n  threads?: number;\n  device?: string;\n  path: string;\n}\n",
  },
  [/LoadOptions\.device has no doc/],
);

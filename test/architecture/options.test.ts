// Every public option says what it does and what its default is.
import { loraConfigSchema, modelConfigSchema, sftConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { z } from "zod";
import { holds, type Rule } from "./tree.ts";

/** Options whose description lacks a sentence of meaning or the default. */
function undescribed(schema: z.ZodType): string[] {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input" }) as {
    properties?: Record<string, { description?: string }>;
  };
  return Object.entries(properties)
    .filter(([, { description = "" }]) => !/^\S.*[.:;].*\bDefault\b/.test(description))
    .map(([name]) => name);
}

test("every option of the schemas says what it means and what its default is", () => {
  const schemas = [sftConfigSchema, loraConfigSchema, modelConfigSchema];
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

// npm run generate: writes what is derived from the sources; test/architecture holds the files to it.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { loraConfigSchema, modelConfigSchema, sftConfigSchema } from "@tunesmith/core";
import { z } from "zod";
import { readResults, reliabilityPage } from "./reliability.ts";

const root = join(import.meta.dirname, "..");

/** A file with the text it should hold. */
export interface Generated {
  path: string;
  text: string;
}

interface JsonSchema {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  description?: string;
  properties?: Record<string, JsonSchema>;
}

function typeName({ type, enum: values, const: value, anyOf, items }: JsonSchema): string {
  if (anyOf !== undefined) return anyOf.map(typeName).join(" or ");
  if (values !== undefined) return values.map(String).join(", ");
  if (value !== undefined) return String(value);
  return type === "array" && items !== undefined ? `list of ${typeName(items)}` : String(type);
}

function optionTable(schema: z.ZodType): string {
  const { properties = {} } = z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
  const kebab = (name: string) =>
    name.replaceAll(/(?<=[a-z])(?=\d[a-z])/g, "-").replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const rows = Object.entries(properties).map(
    ([name, option]) =>
      `| \`${name}\` | \`--${kebab(name)}\` | ${cell(typeName(option))} | ${cell(option.description ?? "")} |`,
  );
  return ["| option | flag | type | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

function optionPage(): string {
  return [
    "# Options",
    "Made from the schemas in `packages/core/src/options/` by `npm run generate`.",
    "Configuration files may spell the names in camelCase or snake_case.",
    "## SFTConfig",
    optionTable(sftConfigSchema),
    "## LoraConfig",
    optionTable(loraConfigSchema),
    "## ModelConfig",
    `${optionTable(modelConfigSchema)}\n`,
  ].join("\n\n");
}

/** Every generated file, as it should be. */
export function generated(): Generated[] {
  return [
    { path: "docs/options.md", text: optionPage() },
    { path: "benchmarks/reliability.md", text: reliabilityPage(readResults(join(root, "benchmarks/reliability"))) },
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}

// npm run generate: writes what is derived from the sources; test/architecture holds the files to it.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import { loraConfigSchema, modelConfigSchema, sftConfigSchema } from "@tunesmith/trainer";
import { z } from "zod";
import { readResults, reliabilityPage } from "./reliability.ts";

const root = join(import.meta.dirname, "..");

/** A file with the text it should hold. */
export interface Generated {
  path: string;
  text: string;
}

const isSource = (path: string) =>
  /^(?:crates|kernels|packages|examples|benchmarks|scripts|test)\/.*\.(?:rs|ts|mjs|py|cu|cuh|cpp|h)$/.test(path) &&
  !/\.test\.ts$/.test(path);

// By code unit: the same order in every locale.
const compare = (a: string, b: string) => Number(a > b) - Number(a < b);

/** Paths of the sources, tests apart, folder by folder. */
function sources(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  return listed
    .toString()
    .split("\0")
    .filter((path) => isSource(path) && existsSync(join(root, path)))
    .map((path) => ({ path, folder: posix.dirname(path) }))
    .sort((a, b) => compare(a.folder, b.folder) || compare(a.path, b.path))
    .map(({ path }) => path);
}

const headers: Record<string, RegExp> = {
  ".rs": /^\/\/! ?(.*(?:\n\/\/! ?.+)*)/,
  ".py": /^(?:#.*\n)*"""([\s\S]*?)"""/,
};
const scriptHeader = /^(?:#!.*\n)?\/\/ (.*(?:\n\/\/ .+)*)/;

/** The first sentence a source says about itself; undefined when it says nothing. */
export function firstSentence(path: string, text: string): string | undefined {
  const flat = (headers[posix.extname(path)] ?? scriptHeader)
    .exec(text)?.[1]
    ?.replaceAll(/^\s*\/\/!?/gm, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
  return flat?.split(/(?<=[.?])\s+(?=[A-Z`"'(])/)[0]?.replace(/(?<![.?])$/, ".");
}

function fileList(): string {
  const lines: string[] = [];
  let folder = "";
  for (const path of sources()) {
    const parent = posix.dirname(path);
    if (parent !== folder) lines.push("", `\`${parent}/\``);
    folder = parent;
    const sentence = firstSentence(path, readFileSync(join(root, path), "utf8")) ?? "";
    lines.push(`- \`${posix.basename(path)}\` ${sentence}`.trimEnd());
  }
  return lines.join("\n").trim();
}

/** The text with what stands between the two marks replaced. */
function between(text: string, mark: string, content: string): string {
  const [open, close] = [`<!-- ${mark} -->`, `<!-- /${mark} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start)
    throw new Error(`[generate] expected ${open} … ${close}; put them where the list belongs`);
  return `${text.slice(0, start + open.length)}\n${content}\n${text.slice(end)}`;
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
    "Made from the schemas in `packages/trainer/src/config.ts` and `model-config.ts` by `npm run generate`.",
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
  const architecture = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  return [
    { path: "ARCHITECTURE.md", text: between(architecture, "files", fileList()) },
    { path: "docs/options.md", text: optionPage() },
    { path: "benchmarks/reliability.md", text: reliabilityPage(readResults(join(root, "benchmarks/reliability"))) },
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const { path, text } of generated()) writeFileSync(join(root, path), text);
}

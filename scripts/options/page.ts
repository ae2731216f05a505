// docs/options.md: every option with its flag, type and meaning, by group.
import { join } from "node:path";
import {
  batchGenerationConfigSchema,
  type DeclaredOption,
  deviceOptionsSchema,
  dpoConfigSchema,
  evaluationConfigSchema,
  formsOf,
  generationConfigSchema,
  grpoConfigSchema,
  type JsonForm,
  type JsonSchema,
  kebabCase,
  loraConfigSchema,
  modelConfigSchema,
  optionGroups,
  optionsOf,
  runInputsSchema,
  selfInstructConfigSchema,
  sftConfigSchema,
} from "@tunesmith/core";
import type { z } from "zod";
import { type NameRow, type NameTable, namesJson } from "../names/table.ts";
import { titleOf } from "./all.ts";

/** Schemas in the order of the page. */
const shown: readonly z.ZodObject[] = [
  sftConfigSchema,
  dpoConfigSchema,
  grpoConfigSchema,
  loraConfigSchema,
  modelConfigSchema,
  runInputsSchema,
  deviceOptionsSchema,
  generationConfigSchema,
  batchGenerationConfigSchema,
  evaluationConfigSchema,
  selfInstructConfigSchema,
];

const introduction = `# Options

Made from the schemas in \`packages/core/src/options/\` by \`npm run generate\`.

In TypeScript the names are camelCase. In plain JavaScript, in configuration files and as flags, the snake_case of a name is the same
option; an option given in both spellings is an error, and so is a name that does not exist.

A configuration file (\`tunesmith train --config run.yaml\`) holds the options of \`SFTConfig\`, \`LoraConfig\`, \`ModelConfig\`,
\`RunInputs\` and \`DeviceOptions\` on one level; for \`tunesmith dpo\` those of \`DPOConfig\` in the place of the first. Editors
with a YAML language server complete and check one of \`tunesmith train\` when it begins with

\`\`\`yaml
# yaml-language-server: $schema=https://raw.githubusercontent.com/tunesmith/tunesmith/main/docs/tunesmith.schema.json
model: Qwen/Qwen3-0.6B
data: rows.jsonl
\`\`\``;

/** `docs/options.md`. */
export function optionPage(): string {
  return `${[introduction, ...shown.map(section), namesSection()].join("\n\n")}\n`;
}

/** Every name of the classes that people's settings are written for. */
function namesSection(): string {
  const { versions, names, counts } = JSON.parse(namesJson(join(import.meta.dirname, "../.."))) as NameTable;
  const of = Object.entries(versions).map(([library, version]) => `${library} ${version}`);
  const classes = [...new Set(names.map((row) => row.class))];
  const tables = classes.map((title) => {
    const rows = names.filter((row) => row.class === title).map(nameRow);
    return [`### Names: ${title}`, "", "| name | default | here |", "| --- | --- | --- |", ...rows].join("\n");
  });
  const counted = Object.entries(counts).map(([name, count]) => `| ${name} | ${count} |`);
  return [
    "## Names of Hugging Face, TRL and PEFT",
    `Every field of TrainingArguments, SFTConfig, ScriptArguments, ModelConfig and LoraConfig (${of.join(", ")}), read from the wheels by
\`npm run names\` (as JSON in [names.json](names.json)). A name works; or it is **taken**: nothing has to be done for it, and a run that is given another value
than the default says so once (event \`note\`); or it is **not yet** there: any value that asks for something is refused with the reason. Where the
default here is another one, it stands with why: a **deviation** that was decided on, the **same** by another word, or **kept** where two libraries
disagree or where theirs would do harm in silence.`,
    ...tables,
    ["### Names: counts", "", "| | names |", "| --- | --- |", ...counted].join("\n"),
  ].join("\n\n");
}

function nameRow(row: NameRow): string {
  const { name, default: theirs, verdict, option, ours, difference, why = "" } = row;
  const same = ours === undefined && why === "";
  const other = same ? "" : `, default ${JSON.stringify(ours)} (${difference}): ${why}`;
  const here = verdict === "works" ? `\`${option}\`${other}` : `${verdict}: ${why}`;
  return `| \`${name}\` | ${JSON.stringify(theirs)} | ${here.replaceAll("|", "\\|")} |`;
}

function section(schema: z.ZodObject): string {
  const options = optionsOf(schema).filter(({ schema: { verdict } }) => verdict === undefined);
  const groups = optionGroups.filter((group) => options.some((option) => option.group === group));
  const tables = groups.map((group) => {
    const rows = options.filter((option) => option.group === group).map(row);
    const heading = groups.length > 1 ? [`### ${titleOf(schema)}: ${group}`, ""] : [];
    return [...heading, "| option | flag | type | meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
  });
  return [`## ${titleOf(schema)}`, schema.meta()?.description ?? "", ...tables].join("\n\n");
}

function row({ name, schema, description }: DeclaredOption): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  return `| \`${name}\` | \`--${kebabCase(name)}\` | ${cell(typeName(schema))} | ${cell(description)} |`;
}

function typeName(schema: JsonSchema): string {
  return formsOf(schema).map(formName).join(" or ");
}

function formName({ type, enum: values, const: value, items, additionalProperties }: JsonForm): string {
  if (values !== undefined) return values.map(String).join(", ");
  if (value !== undefined) return String(value);
  if (type === "array") return `list of ${typeName(items ?? {})}`;
  if (type === "object" && typeof additionalProperties === "object") return `${typeName(additionalProperties)} by name`;
  return String(type);
}

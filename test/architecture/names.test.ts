// Every name of the field is taken or refused as the table of names says, and the table is that of the schemas.
import { join } from "node:path";
import {
  loraConfigSchema,
  modelConfigSchema,
  OptionError,
  parseOptions,
  runInputsSchema,
  scriptArgumentsSchema,
  sftConfigSchema,
  sortOptions,
} from "@tunesmith/core";
import { expect, test } from "vitest";
import { deviations } from "../../scripts/names/deviations.ts";
import { type NameRow, namesJson, optionOf, readTable, written } from "../../scripts/names/table.ts";

const root = join(import.meta.dirname, "../..");
const { names, counts } = readTable(root);

const command = {
  script: scriptArgumentsSchema,
  inputs: runInputsSchema,
  args: sftConfigSchema,
  model: modelConfigSchema,
  peft: loraConfigSchema,
};

/** Gives one name as its users do: to the class, or to the command line. */
function give({ class: of, name }: NameRow, value: unknown): unknown {
  const given = { [name]: value };
  if (of === "TrainingArguments" || of === "SFTConfig") return parseOptions(sftConfigSchema, given);
  return of === "LoraConfig" ? parseOptions(loraConfigSchema, given) : sortOptions(command, given, "sft");
}

/** Values that a name might be given, of every kind. */
const values = [true, false, 1, 2, 0.5, "x", "epoch", "CAUSAL_LM", "LORA", { x: 1 }, ["x"], [1]];

/** Whether a value is accepted; what refuses it is one error that names the option. */
function accepts(row: NameRow, value: unknown): true | string {
  try {
    give(row, value);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return (error as Error).message;
  }
}

test("the table is that of the schemas, and no name is unknown", () => {
  expect(namesJson(root)).toBe(written(readTable(root)));
  expect(names.filter(({ verdict }) => verdict === "unknown")).toEqual([]);
  expect(names.length).toBeGreaterThan(200);
});

test("every name takes the default of its library, where it is one that a value of ours can be", () => {
  const refused = names.filter((row) => accepts(row, row.default) !== true).map((row) => `${row.class}.${row.name}`);
  expect(["TrainingArguments.optim"]).toEqual(expect.arrayContaining(refused));
});

test("the default that a name without effect shows as its library's is that of one of its classes", () => {
  const theirs = new Set(names.map((row) => JSON.stringify([row.option, row.default])));
  const shown = names.filter(({ verdict }) => verdict === "taken" || verdict === "not yet");
  const pairs = shown.map((row) => [row.option, optionOf(row)?.schema.default]);
  expect(pairs.filter((pair) => !theirs.has(JSON.stringify(pair)))).toEqual([]);
});

test("a name that is taken takes other values too, and a name that is not there yet refuses them with the reason", () => {
  for (const row of names) {
    const others = values.filter((value) => value !== row.default);
    const answers = others.map((value) => accepts(row, value));
    const place = `${row.class}.${row.name}`;
    // These two have one value in the whole of what is trained here.
    const only = row.option === "taskType" || row.option === "peftType";
    if (row.verdict === "taken" && !only) expect(answers, place).toContain(true);
    if (row.verdict !== "not yet") continue;
    // What asks for nothing is accepted, and nothing else.
    expect([[], [false]], place).toContainEqual(others.filter((_, n) => answers[n] === true));
    for (const answer of answers.filter((one) => one !== true)) {
      expect(answer, place).toMatch(new RegExp(`^\\[${row.option}\\] expected .* not yet: `, "u"));
      expect(answer, place).toContain(row.why);
    }
  }
});

test("a name that is not known is refused with the nearest one", () => {
  expect(() => parseOptions(sftConfigSchema, { bf_16s: true })).toThrow(/got "bf_16s"; did you mean "bf16"\?/u);
});

/** What is only not written yet. */
const planned: readonly string[] = [
  "lora_target_parameters",
  "trainable_token_indices",
  "loftq_config",
  "eva_config",
  "lora_bias",
  "target_parameters",
];

test("few names are not there yet, each for a reason", () => {
  expect(counts["not yet: other"]).toBeLessThanOrEqual(15);
  const missing = names.filter(({ reason }) => reason === "planned").map(({ name }) => name);
  expect(planned).toEqual(expect.arrayContaining(missing));
  for (const row of names) expect(optionOf(row)?.description, row.name).toMatch(/\bDefault\b/u);
});

test("every default that is another one is named, and nothing else is", () => {
  const other = names.filter(({ verdict, why }) => verdict === "works" && why !== undefined);
  expect(other.filter(({ why }) => why === "unnamed")).toEqual([]);
  const named = new Set(other.flatMap((row) => [row.option, `${row.class}.${row.option}`]));
  expect(Object.keys(deviations).filter((name) => !named.has(name))).toEqual([]);
  const own = [...new Set(other.filter(({ difference }) => difference === "deviation").map(({ option }) => option))];
  expect(own.sort()).toEqual(["learningRate", "loggingSteps", "seed"]);
});

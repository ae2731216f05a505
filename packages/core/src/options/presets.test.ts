import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { loraConfigSchema } from "./lora.ts";
import { modelConfigSchema } from "./model.ts";
import { presetNamed, presetNames, presetOptions, presetValues } from "./presets.ts";
import { sftConfigSchema } from "./sft.ts";
import { sortOptions } from "./sort.ts";

const schemas = { args: sftConfigSchema, peft: loraConfigSchema, weights: modelConfigSchema };
const valuesOf = (name: string, model: Parameters<ReturnType<typeof presetNamed>["values"]>[0] = null) =>
  Object.fromEntries(
    presetNamed(name)
      .values(model)
      .map(({ option, value }) => [option, value]),
  );

test.each(presetNames)("every value of %s is one that its option takes, and says where it comes from", (name) => {
  const { values, title } = presetNamed(name);
  const entries = values(null);
  expect(new Set(entries.map(({ option }) => option)).size).toBe(entries.length);
  const sorted = sortOptions(schemas, valuesOf(name), name);
  const parsed: Record<string, unknown> = { ...sorted.args, ...sorted.peft, ...sorted.weights };
  for (const { option, value, source } of entries) {
    expect(parsed[option], option).toEqual(value);
    expect(source).toMatch(/InstructGPT|Unsloth|TRL|transformers|QLoRA|qlora/u);
  }
  expect(title).not.toBe("");
});

test("trlSft has the defaults that TRL's and transformers' classes have", async () => {
  const path = new URL("../../../../docs/names.json", import.meta.url);
  const { names, versions } = JSON.parse(await readFile(path, "utf8"));
  const classes = ["SFTConfig", "TrainingArguments"];
  let compared = 0;
  for (const { option, value, source } of presetNamed("trlSft").values(null)) {
    if (option === "fullFinetuning") continue;
    const found = classes
      .map((title) =>
        names.find((row: { class: string; option?: string }) => row.class === title && row.option === option),
      )
      .find((row) => row !== undefined);
    expect([option, found?.default]).toEqual([option, value]);
    const [library, version] =
      found.class === "SFTConfig" ? ["TRL", versions.trl] : ["transformers", versions.transformers];
    expect(source).toBe(`${library} ${version.split(".").slice(0, 2).join(".")} ${found.class}`);
    compared += 1;
  }
  expect(compared).toBeGreaterThan(15);
});

test("instructGptSft is sized to the model: rate and batch by its parameters, lengths by its context", () => {
  const small = { hiddenSize: 576, numHiddenLayers: 30, vocabSize: 49152, maxPositionEmbeddings: 8192 };
  expect(valuesOf("instructGptSft", small)).toMatchObject({
    ...{ learningRate: 9.65e-6, perDeviceTrainBatchSize: 32, gradientAccumulationSteps: 1, numTrainEpochs: 16 },
    ...{ lrSchedulerType: "cosine_with_min_lr", lrSchedulerKwargs: { min_lr_rate: 0.1 }, warmupSteps: 0 },
    ...{ residPdrop: 0.2, adamBeta1: 0.9, adamBeta2: 0.95, fullFinetuning: true },
    ...{ maxLength: 2048, maxPromptLength: 1024, maxCompletionLength: 1024 },
  });
  const large = { ...small, hiddenSize: 12288, numHiddenLayers: 96, maxPositionEmbeddings: 512 };
  expect(valuesOf("instructGptSft", large)).toMatchObject({
    ...{ learningRate: 5.03e-6, perDeviceTrainBatchSize: 8 },
    ...{ maxLength: 512, maxPromptLength: 256, maxCompletionLength: 256 },
  });
});

test("what is given holds, under the name of either of two options that say the same", () => {
  const applied = presetValues(presetNamed("unslothNotebook"), { numTrainEpochs: 1, r: 4, seed: undefined }, null);
  const replaced = applied.filter(({ replacedBy }) => replacedBy !== null);
  expect(replaced.map(({ option, replacedBy }) => [option, replacedBy])).toEqual([
    ["r", "r"],
    ["maxSteps", "numTrainEpochs"],
  ]);
  const options = presetOptions(applied, Object.keys(sftConfigSchema.shape));
  expect(options).toMatchObject({ seed: 3407, optim: "adamw_8bit" });
  expect(Object.keys(options)).not.toContain("maxSteps");
  expect(Object.keys(options)).not.toContain("loadIn4bit");
  expect(() => presetNamed("qlora8")).toThrow(
    '[preset] expected one of instructGptSft, unslothNotebook, trlSft, qlora8b, got "qlora8"; did you mean "qlora8b"?',
  );
});

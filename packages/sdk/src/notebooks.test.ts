// The arguments of two of Unsloth's notebooks as they stand there, in camelCase, with nothing changed but model, rows and run folder.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { OptionError } from "@tunesmith/core";
import { expect, onTestFinished, test, vi } from "vitest";
import { parse } from "yaml";
import { FastLanguageModel, SFTTrainer, trainOnResponsesOnly } from "./index.ts";

vi.setConfig({ testTimeout: 120_000 });

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const texts = Array.from({ length: 24 }, (_, n) => ({
  text: `### Instruction:\nAdd ${n} and 1.\n\n### Response:\n${n + 1}`,
}));
const conversations = Array.from({ length: 24 }, (_, n) => ({
  messages: [
    { role: "user", content: `Add ${n} and 1.` },
    { role: "assistant", content: `${n + 1}` },
  ],
}));

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-notebook-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "outputs");
}

/** Trains; gives the notes and warnings of the run, the options it ran with, and its report. */
async function run(trainer: SFTTrainer, outputDir: string) {
  const notes: string[][] = [];
  const training = trainer.train();
  for await (const event of training) if (event.type === "note") notes.push([...event.options].sort());
  await training;
  const { steps } = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  return { notes, steps, options: parse(await readFile(join(outputDir, "config.resolved.yaml"), "utf8")) };
}

test("Llama3.1_(8B)-Alpaca runs as it stands (unslothai/notebooks, nb/Llama3.1_(8B)-Alpaca.ipynb)", async () => {
  const maxSeqLength = 2048;
  const model = (
    await FastLanguageModel.fromPretrained(tinyModel, {
      maxSeqLength,
      dtype: null,
      loadIn4bit: true,
    })
  ).getPeftModel({
    r: 16,
    targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    loraAlpha: 16,
    loraDropout: 0,
    bias: "none",
    useGradientCheckpointing: "unsloth",
    randomState: 3407,
    useRslora: false,
    loftqConfig: null,
  });
  const outputDir = await scratch();
  const trainer = new SFTTrainer({
    model,
    tokenizer: model.tokenizer,
    trainDataset: texts,
    datasetTextField: "text",
    maxSeqLength,
    packing: false,
    args: {
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 4,
      warmupSteps: 5,
      maxSteps: 60,
      learningRate: 2e-4,
      loggingSteps: 1,
      optim: "adamw_8bit",
      weightDecay: 0.001,
      lrSchedulerType: "linear",
      seed: 3407,
      outputDir,
      reportTo: "none",
    },
  });
  const { notes, steps, options } = await run(trainer, outputDir);
  // Each of them works: nothing is only taken.
  expect({ notes, steps }).toEqual({ notes: [], steps: 60 });
  expect(options).toMatchObject({
    loadIn4bit: true,
    r: 16,
    loraAlpha: 16,
    gradientCheckpointing: true,
    randomState: 3407,
    optim: "adamw_8bit",
    weightDecay: 0.001,
    warmupSteps: 5,
    // The notebook's 2048, cut to the context of the small model.
    maxLength: 256,
    packing: false,
    reportTo: "none",
  });
});

test("Qwen3_(14B)-Reasoning-Conversational runs as it stands (unslothai/notebooks, nb/Qwen3_(14B)-Reasoning-Conversational.ipynb)", async () => {
  const model = (
    await FastLanguageModel.fromPretrained(tinyModel, {
      maxSeqLength: 2048,
      loadIn4bit: true,
      loadIn8bit: false,
      fullFinetuning: false,
      token: "YOUR_HF_TOKEN",
    })
  ).getPeftModel({
    r: 32,
    targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    loraAlpha: 32,
    loraDropout: 0,
    bias: "none",
    useGradientCheckpointing: "unsloth",
    randomState: 3407,
    useRslora: false,
    loftqConfig: null,
  });
  const outputDir = await scratch();
  const trainer = new SFTTrainer({
    model,
    tokenizer: model.tokenizer,
    trainDataset: conversations,
    evalDataset: null,
    args: {
      datasetTextField: "text",
      perDeviceTrainBatchSize: 2,
      gradientAccumulationSteps: 4,
      warmupSteps: 5,
      maxSteps: 30,
      learningRate: 2e-4,
      loggingSteps: 1,
      optim: "adamw_8bit",
      weightDecay: 0.001,
      lrSchedulerType: "linear",
      seed: 3407,
      reportTo: "none",
      paddingFree: false,
      // The notebook has none: TRL's default is a folder there too.
      outputDir,
    },
  });
  const { notes, steps, options } = await run(trainOnResponsesOnly(trainer), outputDir);
  expect({ notes, steps }).toEqual({ notes: [], steps: 30 });
  expect(options).toMatchObject({ maxLength: 256, r: 32, gradientCheckpointing: true, trainOnResponsesOnly: true });
});

test("what the run itself says wins over where the model was opened, and what is said twice is refused", async () => {
  const model = (await FastLanguageModel.fromPretrained(tinyModel, { maxSeqLength: 100 })).getPeftModel({
    r: 2,
    useGradientCheckpointing: true,
  });
  const outputDir = await scratch();
  const own = { outputDir, maxSteps: 1, max_length: 64, gradientCheckpointing: false } as object;
  const { options } = await run(new SFTTrainer({ model, trainDataset: texts, args: own }), outputDir);
  expect(options).toMatchObject({ maxLength: 64, gradientCheckpointing: false });
  const opened = await scratch();
  const short = await run(
    new SFTTrainer({ model, trainDataset: texts, args: { outputDir: opened, maxSteps: 1 } }),
    opened,
  );
  expect(short.options).toMatchObject({ maxLength: 100, gradientCheckpointing: true });
  const twice = () => new SFTTrainer({ model, trainDataset: texts, packing: true, args: { packing: true } });
  expect(twice).toThrow(/^\[packing\] expected it once, got it in args too/u);
  const other = await FastLanguageModel.fromPretrained(tinyModel);
  expect(() => new SFTTrainer({ model, tokenizer: other.tokenizer, trainDataset: texts })).toThrow(OptionError);
  // @ts-expect-error "mlx" is none of them
  expect(() => other.getPeftModel({ useGradientCheckpointing: "mlx" })).toThrow(
    /^\[useGradientCheckpointing\] expected/u,
  );
});

test("fullFinetuning where the model is opened trains it whole", async () => {
  const model = await FastLanguageModel.fromPretrained(tinyModel, { fullFinetuning: true });
  const outputDir = await scratch();
  const trainer = new SFTTrainer({ model, trainDataset: texts, args: { outputDir, maxSteps: 1 } });
  expect((await run(trainer, outputDir)).options).toMatchObject({ fullFinetuning: true, learningRate: 2e-5 });
  expect(() => new SFTTrainer({ model: model.getPeftModel({ r: 4 }), trainDataset: texts })).toThrow(OptionError);
});

test("randomState is the seed of the adapter's first values alone", async () => {
  const model = await FastLanguageModel.fromPretrained(tinyModel);
  const start = async (options: object, args: object) => {
    const outputDir = await scratch();
    const peft = model.getPeftModel({ r: 2, ...options });
    const rate = { learningRate: 0, maxSteps: 1, outputDir };
    await new SFTTrainer({ model: peft, trainDataset: texts, args: { ...rate, ...args } }).train();
    return (await readFile(join(outputDir, "adapter", "adapter_model.safetensors"))).toString("base64");
  };
  const plain = await start({}, { seed: 1 });
  expect(await start({ randomState: 1 }, { seed: 2 })).toBe(plain);
  expect(await start({ randomState: 2 }, { seed: 1 })).not.toBe(plain);
});

// A QLoRA fine-tune from loading to export, as Unsloth's notebooks go through it: each test is one criterion.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  explain,
  FastLanguageModel,
  type SFTConfig,
  SFTTrainer,
  type TrainEvent,
  type TrainResult,
  trainOnResponsesOnly,
} from "../../packages/cli/src/index.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";
import { readSafetensors } from "../support/safetensors.ts";

const modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const adapter = { r: 16, loraAlpha: 16, loraDropout: 0, targetModules: modules } as const;
/** The arguments of Unsloth's notebooks. */
const notebook: SFTConfig = {
  perDeviceTrainBatchSize: 2,
  gradientAccumulationSteps: 4,
  warmupSteps: 5,
  maxSteps: 60,
  learningRate: 2e-4,
  optim: "adamw_8bit",
  weightDecay: 0.001,
  lrSchedulerType: "linear",
  seed: 3407,
};

const open = () => FastLanguageModel.fromPretrained(smallModel("llama"), { device: "cpu", loadIn4bit: true });

const alpaca = Array.from({ length: 40 }, (_, n) => ({
  instruction: `Add one to ${n}.`,
  input: "",
  output: `${n + 1}`,
}));
const chat = alpaca.map(({ instruction, output }) => ({
  messages: [
    { role: "user", content: instruction },
    { role: "assistant", content: output },
  ],
}));
const prompt = [{ role: "user" as const, content: "Add one to 4." }];

async function answer(model: FastLanguageModel): Promise<string> {
  let text = "";
  for await (const piece of model.generate(prompt, { maxNewTokens: 12 })) text += piece;
  return text;
}

async function train(model: FastLanguageModel, args: SFTConfig, trainDataset: readonly object[] = chat) {
  const outputDir = args.outputDir ?? join(temporaryFolder(), "run");
  const trainer = new SFTTrainer({ model, trainDataset: trainDataset as never, args: { ...args, outputDir } });
  const events: TrainEvent[] = [];
  const run = trainer.train();
  for await (const event of run) events.push(event);
  return { outputDir, events, result: await run };
}

const prepared = (events: readonly TrainEvent[]) => {
  const found = events.find(({ type }) => type === "prepared");
  if (found?.type !== "prepared") throw new Error("expected a prepared event");
  return found;
};

/** The sixteen values of NormalFloat 4 (QLoRA, appendix E). */
const codebook = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

test("1. the linear layers are held in NF4 with double quantisation: every value is one of the codebook's", async () => {
  const folder = temporaryFolder();
  const model = await open();
  const options = { saveMethod: "merged_32bit", base: "nf4" } as const;
  await model.savePretrainedMerged(join(folder, "four"), options);
  await (await FastLanguageModel.fromPretrained(smallModel("llama"))).savePretrainedMerged(join(folder, "whole"), {
    saveMethod: "merged_32bit",
  });
  const [four, whole] = ["four", "whole"].map((name) => readSafetensors(join(folder, name, "model.safetensors")));
  let layers = 0;
  for (const [name, values] of four ?? []) {
    const original = whole?.get(name) as Float32Array;
    if (!/_proj\.weight$/u.test(name)) {
      expect([name, values]).toEqual([name, original]);
      continue;
    }
    layers += 1;
    for (let block = 0; block < values.length; block += 64) {
      const part = values.subarray(block, block + 64);
      const scale = part.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const far = Array.from(part, (value) => Math.min(...codebook.map((code) => Math.abs(value / scale - code))));
      expect(Math.max(...far), `${name}, block ${block / 64}`).toBeLessThan(1e-5);
      const absmax = original.subarray(block, block + 64).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // Eight bits a scale, of blocks of 256 of them.
      expect(Math.abs(scale / absmax - 1)).toBeLessThan(0.15);
    }
  }
  expect(layers).toBe(14);
});

test("2. memory is told before and after, planned and at its peak", async () => {
  const { events, result } = await train((await open()).getPeftModel(adapter), { maxSteps: 1 });
  const { memory, session } = prepared(events);
  expect([session.backend, memory.peak > 0]).toEqual(["cpu", true]);
  expect(result.metrics.enginePeakBytes).toBeGreaterThanOrEqual(memory.inUse);
  expect(result.metrics.peakMemoryBytes).toBeGreaterThan(result.metrics.enginePeakBytes);
});

test("3. a new adapter changes no bit of what the model computes, and its share of the parameters is told", async () => {
  const losses = async (r: number) => {
    const model = (await open()).getPeftModel({ ...adapter, r });
    const args = { maxSteps: 1, learningRate: 0, evalOnStart: true, evalSteps: 1 };
    const outputDir = join(temporaryFolder(), "run");
    const trainer = new SFTTrainer({ model, trainDataset: chat, evalDataset: chat, args: { ...args, outputDir } });
    const run = trainer.train();
    let session = { trainableParameters: 0, totalParameters: 0 };
    for await (const event of run) if (event.type === "prepared") session = event.session;
    return { loss: (await run).evalBefore?.evalLoss, session };
  };
  const [two, sixteen] = [await losses(2), await losses(16)];
  expect(sixteen.loss).toBe(two.loss);
  expect(sixteen.session.trainableParameters).toBe(8 * two.session.trainableParameters);
  expect(sixteen.session.totalParameters).toBeGreaterThan(sixteen.session.trainableParameters);
});

test("4. Alpaca rows and chats end in the end of sequence, and it is trained", async () => {
  const model = await open();
  for (const row of [alpaca[3], chat[3]]) {
    const { tokens } = await explain(row as never, { model });
    const last = tokens.filter(({ weight }) => weight > 0).at(-1);
    expect([last?.special, last?.text]).toEqual([true, "<|im_end|>"]);
  }
});

test("5. trainOnResponsesOnly trains the answers alone, and a row can be looked at token by token", async () => {
  const model = (await open()).getPeftModel(adapter);
  const outputDir = join(temporaryFolder(), "run");
  const trainer = new SFTTrainer({ model, trainDataset: chat, args: { outputDir, maxSteps: 1 } });
  const { data } = await trainOnResponsesOnly(trainer, {
    instructionPart: "<|im_start|>user\n",
    responsePart: "<|im_start|>assistant\n",
  }).train();
  const { tokens } = await explain(chat[0] as never, { model });
  const trained = tokens.filter(({ weight }) => weight > 0);
  expect(trained.map(({ text }) => text).join("")).toBe("1<|im_end|>");
  const all = await Promise.all(chat.map(async (row) => (await explain(row as never, { model })).tokens));
  expect(data.trainedTokens).toBe(all.flat().filter(({ weight }) => weight > 0).length);
});

describe("trained with the notebook's arguments", () => {
  let model: FastLanguageModel;
  let events: TrainEvent[];
  let result: TrainResult;
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-qlora-"));

  beforeAll(async () => {
    model = (await open()).getPeftModel(adapter);
    ({ events, result } = await train(model, { ...notebook, outputDir: join(folder, "run") }));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("6. they run unchanged", () => {
    const steps = events.filter(({ type }) => type === "step");
    expect(steps).toHaveLength(60);
    expect(events.filter(({ type }) => type === "note")).toEqual([]);
  });

  test("7. the loss falls", () => {
    const losses = events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
    const mean = (part: readonly number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length;
    expect(mean(losses.slice(-5))).toBeLessThan(0.95 * mean(losses.slice(0, 5)));
  });

  test("8. the same process answers, greedily and piece by piece", async () => {
    const pieces: string[] = [];
    for await (const piece of model.generate(prompt, { maxNewTokens: 12 })) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(await answer(model)).toBe(pieces.join(""));
  });

  test("9. savePretrained writes what PEFT reads", async () => {
    const folder = join(temporaryFolder(), "adapter");
    await model.savePretrained(folder);
    const config = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ peft_type: "LORA", task_type: "CAUSAL_LM", r: 16, lora_alpha: 16, lora_dropout: 0 });
    expect([...config.target_modules].sort()).toEqual([...modules].sort());
    const names = [...readSafetensors(join(folder, "adapter_model.safetensors")).keys()];
    expect(names).toHaveLength(2 * 2 * modules.length);
    for (const name of names)
      expect(name).toMatch(/^base_model\.model\.model\.layers\.\d\..*_proj\.lora_[AB]\.weight$/u);
  });

  test("10. base and adapter opened again answer the same", async () => {
    const again = await FastLanguageModel.fromPretrained(smallModel("llama"), {
      device: "cpu",
      loadIn4bit: true,
      adapter: result.adapterDir,
    });
    expect(await answer(again)).toBe(await answer(model));
  });

  test("11. merged weights lie on the base that was chosen, and answer as base and adapter do", async () => {
    const folder = temporaryFolder();
    await model.savePretrainedMerged(join(folder, "original"));
    await model.savePretrainedMerged(join(folder, "trained-on"), { base: "nf4", saveMethod: "merged_32bit" });
    expect(JSON.parse(readFileSync(join(folder, "original/config.json"), "utf8")).dtype).toBe("bfloat16");
    const merged = await FastLanguageModel.fromPretrained(join(folder, "trained-on"), { device: "cpu" });
    expect(await answer(merged)).toBe(await answer(model));
  });

  test("12. GGUF files of the usual types are read again, with tokenizer, end of sequence and template", async () => {
    const folder = join(temporaryFolder(), "gguf");
    const files = await model.savePretrainedGguf(folder, { quantizationMethod: ["q8_0", "f16"], base: "nf4" });
    expect(readdirSync(folder).filter((name) => name.endsWith(".gguf"))).toHaveLength(2);
    const expected = await answer(model);
    for (const { path } of files) {
      const read = await FastLanguageModel.fromPretrained(path, { device: "cpu" });
      expect([read.tokenizer.info.eosToken, await answer(read)]).toEqual([model.tokenizer.info.eosToken, expected]);
    }
  });
});

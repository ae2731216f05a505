// LoRA-FA as an option of a run: A stays what it began as, and a resumed run goes on to the same weights.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { FastLanguageModel, SFTTrainer } from "./index.ts";

vi.setConfig({ testTimeout: 120_000 });

const llama = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const messages = [
  { role: "user", content: "Add 12 and 30." },
  { role: "assistant", content: "42" },
];
const trainDataset = Array.from({ length: 6 }, () => ({ messages }));

async function trained(options: object, peft: object = {}, resume?: string) {
  const model = await FastLanguageModel.fromPretrained(llama, { device: "cpu" });
  const outputDir = await scratchFolder(onTestFinished);
  const args = { outputDir, maxSteps: 4, learningRate: 1e-3, saveSteps: 2, reportTo: "none", ...options } as const;
  const run = new SFTTrainer({ model: model.getPeftModel({ r: 4, ...peft }), trainDataset, args } as never);
  const { adapterDir } = await run.train(resume === undefined ? {} : { resumeFromCheckpoint: resume });
  return { outputDir, weights: await tensors(join(adapterDir, "adapter_model.safetensors")) };
}

/** The bytes of each tensor. */
async function tensors(path: string): Promise<Map<string, string>> {
  const file = await readFile(path);
  const header = Number(file.readBigUInt64LE(0));
  const entries = Object.entries(
    JSON.parse(file.toString("utf8", 8, 8 + header)) as Record<string, { data_offsets: number[] }>,
  );
  const of = ([start = 0, end = 0]: number[]) => file.subarray(8 + header + start, 8 + header + end).toString("base64");
  return new Map(
    entries.filter(([name]) => name !== "__metadata__").map(([name, entry]) => [name, of(entry.data_offsets)]),
  );
}

test("A stays, B is trained, and a resumed run ends at the same weights", async () => {
  const start = await trained({ optim: "lorafa", learningRate: 1e-30 });
  const whole = await trained({ optim: "lorafa", saveStrategy: "steps" });
  for (const [name, bytes] of whole.weights) {
    if (name.includes("lora_A")) expect(bytes, name).toBe(start.weights.get(name));
    else expect(bytes, name).not.toBe(start.weights.get(name));
  }
  const args = { optim: "lorafa", saveStrategy: "steps", outputDir: whole.outputDir };
  const resumed = await trained(args, {}, join(whole.outputDir, "checkpoint-2"));
  expect(resumed.weights).toEqual(whole.weights);
});

test("what it is not for is refused by name", async () => {
  await expect(trained({ optim: "lorafa" }, { useDora: true })).rejects.toThrow(
    /^\[optim lorafa\] expected an adapter with factors A and B of layers alone, got .*lora_magnitude_vector/u,
  );
  await expect(trained({ optim: "lorafa" }, { targetModules: ["embed_tokens"] })).rejects.toThrow(/lora_embedding_A/u);
});

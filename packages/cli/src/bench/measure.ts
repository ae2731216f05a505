// The measurements of `tunesmith bench`: a step of LoRA and of QLoRA, generation, and tokenising, on generated rows and weights.
import { join } from "node:path";
import type { DeviceOptions } from "@tunesmith/core";
import { FastLanguageModel, measureSpeed } from "@tunesmith/sdk";
import { conversations, tokenizerFiles } from "./generated-text.ts";
import { memoryRate, productRate } from "./limits.ts";
import { type ShapeName, shapes, weightsOf, weightsOfToken, writeRandomModel } from "./random-model.ts";

/** Rows and tokens of a training step, tokens that are generated, and conversations that are tokenised at a time. */
export const work = { rows: 4, rowTokens: 128, newTokens: 32, conversations: 500 } as const;
/** Repetitions that are measured; their median counts. */
export const repetitions = 5;

/** What a test came to. */
export interface Measured {
  /** Such as `lora 4x128`. */
  test: string;
  tokensPerSecond: number;
  /** Bytes that the engine held at most; null where it holds no model. */
  peakBytes: number | null;
  /** Part of {@link Limits} that bounds it, and the share of that it reaches; null where none does. */
  limit: keyof Limits | null;
  share: number | null;
}

/** What this machine does at most, measured here. */
export interface Limits {
  /** Floating-point operations a second in large matrix products of the engine. */
  products: number;
  /** Bytes a second that memory reads and writes; null of a GPU's, which is not measured. */
  memory: number | null;
}

/** A benchmark of this machine. */
export interface Benchmark {
  limits: Limits;
  tests: Measured[];
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

/**
 * Measures everything, in a folder that it may fill.
 *
 * @param tell told what comes next
 */
export async function benchmark(
  folder: string,
  size: ShapeName,
  device: DeviceOptions,
  { tell, signal }: { tell: (what: string) => void; signal: AbortSignal },
): Promise<Benchmark> {
  const shape = shapes[size];
  const path = join(folder, size);
  tell("writing weights");
  writeRandomModel(path, shape, tokenizerFiles());
  signal.throwIfAborted();
  tell("large matrix products");
  const products = await productRate(folder, device);
  const opened = async (loadIn4bit: boolean) => FastLanguageModel.fromPretrained(path, { ...device, loadIn4bit });
  const tests: Measured[] = [];
  let onGpu = false;
  for (const loadIn4bit of [false, true]) {
    signal.throwIfAborted();
    tell(loadIn4bit ? "qlora" : "lora");
    const trained = await training(await opened(loadIn4bit), loadIn4bit ? "qlora" : "lora");
    onGpu = trained.device !== "cpu";
    // Forward, and the gradient by the activations: the base has none by its weights.
    const share = (4 * weightsOfToken(shape) * trained.tokensPerSecond) / products;
    tests.push({ ...trained.measured, limit: "products", share });
  }
  signal.throwIfAborted();
  tell("generation");
  const model = await opened(false);
  const generated = await generation(model);
  const memory = onGpu ? null : await memoryRate(generated.threads);
  // Each weight that a token goes through is read once for it, as it is held.
  const moved = generated.weightBytes * (weightsOfToken(shape) / weightsOf(shape)) * generated.measured.tokensPerSecond;
  tests.push({
    ...generated.measured,
    limit: memory === null ? null : "memory",
    share: memory === null ? null : moved / memory,
  });
  signal.throwIfAborted();
  tell("tokenising");
  tests.push(await tokenising(model));
  await model.dispose();
  return { limits: { products, memory }, tests };
}

async function training(model: FastLanguageModel, name: string) {
  const { rows, rowTokens } = work;
  const args = { maxLength: rowTokens, perDeviceTrainBatchSize: rows, gradientCheckpointing: false };
  try {
    const { tokensPerSecond, peakBytes, device } = await measureSpeed(model, { args });
    return { device, tokensPerSecond, measured: { test: `${name} ${rows}x${rowTokens}`, tokensPerSecond, peakBytes } };
  } finally {
    await model.dispose();
  }
}

async function generation(model: FastLanguageModel) {
  const { newTokens } = work;
  const generator = await model.createGenerator();
  const weightBytes = generator.memory().inUse;
  try {
    const seconds: number[] = [];
    for (let round = 0; round <= repetitions; round += 1) {
      let first = 0;
      const prompts = [Int32Array.from({ length: 8 }, (_, place) => 100 + place)];
      // The first token comes of the prompt.
      for await (const _ of generator.generate({ prompts, maxNewTokens: newTokens + 1, stopTokenIds: [] }))
        first ||= performance.now();
      if (round > 0) seconds.push((performance.now() - first) / 1000);
    }
    const measured = {
      test: `generate ${newTokens}`,
      tokensPerSecond: newTokens / median(seconds),
      peakBytes: generator.memory().peak,
    };
    return { measured, weightBytes, threads: generator.info.threads };
  } finally {
    generator.dispose();
  }
}

async function tokenising({ tokenizer }: FastLanguageModel): Promise<Measured> {
  const rows = conversations(work.conversations * (repetitions + 1));
  const rates: number[] = [];
  for (let round = 0; round <= repetitions; round += 1) {
    // Other rows each time, since words that came before are looked up.
    const part = rows.slice(round * work.conversations, (round + 1) * work.conversations);
    const begun = performance.now();
    const encoded = await tokenizer.encodeConversations(part);
    const seconds = (performance.now() - begun) / 1000;
    if (round > 0) rates.push(encoded.reduce((sum, { ids }) => sum + ids.length, 0) / seconds);
  }
  const test = `tokenise ${work.conversations} rows`;
  return { test, tokensPerSecond: median(rates), peakBytes: null, limit: null, share: null };
}

import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Generator, GeneratorOptions, SequenceSums, TrainSession } from "@tunesmith/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { aDay, trials, tried } from "../../core/src/testing/trials.ts";
import { batchOf, firstStep, fullSession, loraSession, temporaryFolder, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./index.ts";

const rows = batchOf([5, 9, 40, 7, 7, 100, 3], [17, 4, 260], [8, 8, 8, 8, 9]);
const model = await loadModel(tinyModel, { device: "cpu", threads: 2 });

async function open(options = loraSession): Promise<TrainSession> {
  const session = await model.createSession(options);
  onTestFinished(() => session.dispose());
  return session;
}

async function openGenerator(options: GeneratorOptions = {}): Promise<Generator> {
  const generator = await model.createGenerator(options);
  onTestFinished(() => generator.dispose());
  return generator;
}

const total = (sums: SequenceSums) => sums.lossSum.reduce((sum, loss) => sum + loss, 0);
const count = (sums: SequenceSums) => sums.weightSum.reduce((sum, weight) => sum + weight, 0);

async function step(session: TrainSession, learningRate: number): Promise<number> {
  const sums = await session.accumulate(rows, firstStep);
  const rates = Float64Array.from(session.info.parameterGroups, () => learningRate);
  await session.update({ learningRates: rates, maxGradNorm: 1, denominator: count(sums) });
  return total(sums) / count(sums);
}

describe("a training session", () => {
  test("ten steps of LoRA lower the loss", async () => {
    const session = await open();
    const first = await step(session, 0.01);
    for (let n = 1; n < 10; n++) await step(session, 0.01);
    const last = await session.evaluate(rows);
    expect(total(last) / count(last)).toBeLessThan(first / 2);
  });

  test("evaluate gives the sums of accumulate, one per sequence", async () => {
    const session = await open();
    const evaluated = await session.evaluate(rows);
    expect(await session.accumulate(rows, firstStep)).toEqual(evaluated);
    expect([...evaluated.tokens]).toEqual([6, 2, 4]);
    expect([...evaluated.weightSum]).toEqual([6, 2, 4]);
    expect(evaluated.entropySum.every((sum) => sum > 0)).toBe(true);
  });

  test("weights scale the loss of a token", async () => {
    const session = await openGenerator();
    const plain = await session.evaluate(rows);
    const doubled = await session.evaluate({ ...rows, weights: new Float32Array(rows.labels.length).fill(2) });
    expect(total(doubled)).toBeCloseTo(2 * total(plain), 9);
    expect(count(doubled)).toBe(2 * count(plain));
  });

  test(
    "a gradient that is not finite changes nothing",
    async () => {
      const session = await open();
      const learningRates = Float64Array.of(1, 1, 1, 1);
      for (let trial = 0; trial < trials(3); trial += 1) {
        const before = await session.evaluate(rows);
        // One token, by turns the first, the second, …
        const weights = new Float32Array(rows.labels.length).fill(1);
        const [value, token] = [[Number.NaN, Infinity, -Infinity][trial % 3] as number, trial % (weights.length - 1)];
        weights[token] = value;
        await session.accumulate({ ...rows, weights }, firstStep);
        const { applied } = await session.update({ learningRates, maxGradNorm: null, denominator: 1 });
        const trained = rows.labels[token] !== -100 && !rows.sequenceStarts.includes(token);
        expect(applied, `weight ${value} of token ${token}`).toBe(!trained);
        if (!applied) expect(await session.evaluate(rows)).toEqual(before);
      }
      tried(trials(3));
    },
    aDay,
  );

  test("says what it is made of", async () => {
    const { info } = await open();
    expect(info).toMatchObject({ backend: "cpu", threads: 2 });
    expect(info.adapterModules).toHaveLength(7 * model.info.numHiddenLayers);
    expect(info.parameterGroups.map(({ name }) => name)).toEqual(["decay", "no_decay", "embedding", "lora_b"]);
    expect(info.trainableParameters).toBe(info.parameterGroups.reduce((sum, group) => sum + group.parameters, 0));
    expect(info.totalParameters * 4).toBe(model.info.weightBytes);
    const base = await openGenerator();
    expect(base.info).toMatchObject({ trainableParameters: 0, adapterModules: null });
  });

  test("several sessions work at once and do not meet", async () => {
    const [first, second, base] = await Promise.all([open(), open(), openGenerator()]);
    const losses = await Promise.all([first, second, base].map((session) => session.evaluate(rows)));
    expect(losses[1]).toEqual(losses[0]);
    expect(losses[2]).toEqual(losses[0]);
    const trained = await Promise.all([step(first, 0.01), step(second, 0.01)]);
    expect(trained[0]).toBe(trained[1]);
    expect(total(await first.evaluate(rows))).toBe(total(await second.evaluate(rows)));
  });
});

describe("files of a session", () => {
  test("a checkpoint continues where it was written", async () => {
    const folder = join(temporaryFolder(), "new");
    const session = await open();
    await step(session, 0.01);
    await session.saveCheckpoint(folder);
    const losses = [await step(session, 0.01), await step(session, 0.01)];
    const resumed = await open({ ...loraSession, seed: 99 });
    await resumed.loadCheckpoint(folder);
    expect([await step(resumed, 0.01), await step(resumed, 0.01)]).toEqual(losses);
  });

  test("an adapter is written as a PEFT folder with its tokenizer and read back", async () => {
    const folder = temporaryFolder();
    const session = await open();
    for (let n = 0; n < 3; n++) await step(session, 0.01);
    await session.saveAdapter(folder);
    expect(readdirSync(folder).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "chat_template.jinja",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const loaded = await openGenerator({ adapter: { type: "saved", path: folder } });
    expect(await loaded.evaluate(rows)).toEqual(await session.evaluate(rows));
  });

  test("a fully fine-tuned model is a folder that loads again, with its tokenizer", async () => {
    const folder = temporaryFolder();
    const session = await open(fullSession);
    await step(session, 0.001);
    await session.saveAdapter(folder);
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
      expect(existsSync(join(folder, name)), name).toBe(true);
    }
    const again = await loadModel(folder);
    expect(again.tokenizer.info).toEqual(model.tokenizer.info);
    const loaded = await again.createGenerator();
    expect(await loaded.evaluate(rows)).toEqual(await session.evaluate(rows));
    loaded.dispose();
  });

  test("a folder that is a file, and one that is not there, are typed errors", async () => {
    const session = await open();
    const file = join(tinyModel, "config.json");
    await expect(session.saveAdapter(file)).rejects.toMatchObject({ name: "FileSystemError", code: "IO" });
    await expect(session.loadCheckpoint(join(tinyModel, "none"))).rejects.toMatchObject({ code: "FILE_MISSING" });
  });

  test("a checkpoint of another shape is refused and leaves the session as it was", async () => {
    const folder = temporaryFolder();
    const small = await open({
      ...loraSession,
      adapter: { type: "lora", r: 2, loraAlpha: 8, targetModules: ["q_proj"], useRslora: true },
    });
    await small.saveCheckpoint(folder);
    const session = await open();
    const before = await session.evaluate(rows);
    await expect(session.loadCheckpoint(folder)).rejects.toMatchObject({ name: "CheckpointError" });
    expect(await session.evaluate(rows)).toEqual(before);
  });
});

describe("dispose", () => {
  test("frees, and later calls reject with DISPOSED", async () => {
    const session = await open();
    expect(session.memory().inUse).toBeGreaterThan(model.info.weightBytes);
    session.dispose();
    session.dispose();
    expect(session.info.backend).toBe("cpu");
    const disposed = { name: "DisposedError", code: "DISPOSED" };
    expect(() => session.memory()).toThrow(expect.objectContaining(disposed));
    await expect(session.evaluate(rows)).rejects.toMatchObject(disposed);
    await expect(session.accumulate(rows, firstStep)).rejects.toMatchObject(disposed);
    await expect(session.logProbs(rows)).rejects.toMatchObject(disposed);
    await expect(session.forward(rows, firstStep)).rejects.toMatchObject(disposed);
    await expect(session.backward({})).rejects.toMatchObject(disposed);
    await expect(step(session, 0)).rejects.toMatchObject(disposed);
    await expect(session.saveAdapter(temporaryFolder())).rejects.toMatchObject(disposed);
    await expect(
      session
        .generate({ prompts: [Int32Array.of(1)], maxNewTokens: 1 })
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toMatchObject(disposed);
  });

  test("comes with the end of a block", async () => {
    const kept: Generator[] = [];
    {
      using one = await model.createGenerator();
      await using two = await model.createSession(loraSession);
      kept.push(one, two);
      expect(one.memory().inUse).toBeGreaterThan(0);
    }
    for (const session of kept) await expect(session.adapters()).rejects.toMatchObject({ code: "DISPOSED" });
  });

  test("rejects queued calls, while the running one may end", async () => {
    const session = await open();
    const long = batchOf(...Array.from({ length: 100 }, () => Array.from({ length: 100 }, (_, n) => n)));
    const calls = [session.evaluate(long), session.evaluate(long), session.evaluate(long)];
    session.dispose();
    const outcomes = await Promise.allSettled(calls);
    const disposed = { status: "rejected", reason: { name: "DisposedError", code: "DISPOSED" } };
    for (const outcome of outcomes.slice(1)) expect(outcome).toMatchObject(disposed);
  });
});

test("a model with NaN in its weights is refused", async () => {
  const folder = temporaryFolder();
  cpSync(tinyModel, folder, { recursive: true });
  const path = join(folder, "model.safetensors");
  const bytes = readFileSync(path);
  bytes.writeFloatLE(Number.NaN, bytes.length - 4);
  writeFileSync(path, bytes);
  const damaged = await loadModel(folder);
  await expect(damaged.createGenerator()).rejects.toMatchObject({
    name: "NonFiniteError",
    code: "NON_FINITE",
  });
});

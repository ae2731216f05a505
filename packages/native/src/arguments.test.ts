import type { Batch, LanguageModel, SessionOptions, Tokenizer, TrainSession } from "@tunesmith/core";
import { afterAll, describe, expect, test } from "vitest";
import { batchOf, firstStep, loraSession, tinyModel } from "../test/fixture.ts";
import { loadModel, loadTokenizer } from "./index.ts";

const model: LanguageModel = await loadModel(tinyModel);
const session: TrainSession = await model.createSession(loraSession);
afterAll(() => session.dispose());
const tokenizer: Tokenizer = model.tokenizer;

/** What JavaScript callers may hand over in place of anything. */
const wrong: unknown[] = [
  null,
  7,
  -1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  1e300,
  10n,
  "",
  "\0",
  "no",
  true,
  Symbol("s"),
  [],
  {},
  () => {},
  new Float64Array(3),
  Int32Array.of(-5),
  new Date(),
  new Proxy({}, {}),
];

/** Calls with every wrong value: each must throw or reject with a typed error, unless `fine` says that the value is allowed. */
async function refused(
  call: (value: never) => unknown,
  fine: (value: unknown) => boolean = () => false,
): Promise<void> {
  for (const value of wrong) {
    if (fine(value)) continue;
    const outcome = Promise.resolve().then(() => call(value as never));
    await expect(outcome, `with ${Object.prototype.toString.call(value)} ${String(value)}`).rejects.toMatchObject({
      code: expect.stringMatching(/^(ARGUMENT_INVALID|DATA_INVALID|FILE_MISSING|TEMPLATE_INVALID|OUT_OF_MEMORY|IO)$/),
    });
  }
}

const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
const first = (options: object) =>
  session
    .generate({ prompts: [Int32Array.of(1)], maxNewTokens: 1, ...options })
    [Symbol.asyncIterator]()
    .next();

describe("wrong arguments are typed errors", () => {
  test("loadModel and loadTokenizer", async () => {
    await refused(loadModel);
    await refused(loadTokenizer);
    await refused((value) => loadModel(tinyModel, value), isObject);
    await refused((value) => loadModel(tinyModel, { device: value }));
    await refused(
      (value) => loadModel(tinyModel, { threads: value }),
      (value) => value === 7 || value === null,
    );
  });

  test("tokenizer", async () => {
    await refused(
      (value) => tokenizer.encodeConversations(value),
      (value) => Array.isArray(value),
    );
    await refused((value) => tokenizer.encodeConversations([value]));
    await refused((value) => tokenizer.encodeConversations([{ messages: value }]));
    await refused((value) => tokenizer.encodeConversations([{ messages: [value] }]));
    await refused((value) => tokenizer.encodeConversations([{ messages: [{ role: value, content: "x" }] }]));
    await refused(
      (value) => tokenizer.encodeConversations([], { addGenerationPrompt: value }),
      (value) => value === null || value === true,
    );
    await refused(
      (value) => tokenizer.encodePairs(value),
      (value) => Array.isArray(value),
    );
    await refused(
      (value) => tokenizer.encodePairs([{ prompt: value, completion: "x" }]),
      (value) => typeof value === "string",
    );
    await refused(
      (value) => tokenizer.encodeTexts([value]),
      (value) => typeof value === "string",
    );
    await refused(tokenizer.decode.bind(tokenizer));
    await refused(tokenizer.render.bind(tokenizer));
    const circular: Record<string, unknown> = { messages: [] };
    circular.self = circular;
    await expect(tokenizer.encodeConversations([circular as never])).rejects.toMatchObject({
      code: "ARGUMENT_INVALID",
    });
  });

  test("createSession", { timeout: 60_000 }, async () => {
    const create = (change: object) => model.createSession({ ...loraSession, ...change } as SessionOptions);
    const only = (allowed: unknown) => (value: unknown) => value === allowed;
    await refused(model.createSession.bind(model));
    await refused((value) => create({ adapter: value }), only(null));
    await refused((value) => create({ adapter: { type: value } }));
    await refused((value) => create({ adapter: { type: "saved", path: value } }));
    const fine: Record<string, unknown[]> = {
      r: [7],
      loraAlpha: [7, 1e300],
      targetModules: [],
      useRslora: [true],
      useDora: [true],
      initLoraWeights: [true],
      rankPattern: [],
    };
    for (const [key, values] of Object.entries(fine)) {
      await refused(
        (value) => create({ adapter: { ...loraSession.adapter, [key]: value } }),
        (value) => values.includes(value) || (key === "rankPattern" && isObject(value)),
      );
    }
    await refused((value) => create({ adapter: { ...loraSession.adapter, targetModules: [value] } }));
    await refused((value) => create({ optimizer: value }));
    await refused((value) => create({ optimizer: { type: value } }));
    await refused((value) => create({ optimizer: { ...loraSession.optimizer, beta1: value } }));
    await refused(
      (value) => create({ optimizer: { ...loraSession.optimizer, epsilon: value } }),
      (value) => value === 7 || value === 1e300,
    );
    await refused((value) => create({ parameterGroups: value }));
    await refused((value) => create({ parameterGroups: [value] }));
    await refused((value) => create({ gradientCheckpointing: value }), only(true));
    await refused((value) => create({ seed: value }), only(7));
    await expect(create({ learningRate: 1 })).rejects.toMatchObject({
      message: expect.stringContaining("learningRate"),
    });
  });

  test("createGenerator", async () => {
    await refused(
      (value) => model.createGenerator(value),
      (value) => isObject(value) && Object.keys(value as object).length === 0,
    );
    await refused(
      (value) => model.createGenerator({ adapter: value }),
      (value) => value === null,
    );
  });

  test("batches", async () => {
    const batch = batchOf([1, 2, 3], [4, 5]);
    for (const key of ["inputIds", "labels", "positions", "sequenceStarts", "weights"] as const) {
      await refused((value) => session.evaluate({ ...batch, [key]: value }));
      await refused((value) => session.accumulate({ ...batch, [key]: value }, firstStep));
      const detached = batchOf([1, 2, 3], [4, 5]);
      detached.weights = new Float32Array(5);
      structuredClone(detached[key], { transfer: [(detached[key] as Int32Array).buffer as ArrayBuffer] });
      await expect(session.evaluate(detached), key).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    }
    await refused(session.evaluate.bind(session));
    for (const change of [
      { inputIds: Int32Array.of(1, 2, 3, 4, model.info.vocabSize) },
      { labels: Int32Array.of(1, 2, 3, 4, -101) },
      { positions: Int32Array.of(0, 1, -2, 0, 1) },
      { sequenceStarts: Int32Array.of(0, 9, 5) },
      { sequenceStarts: Int32Array.of(0, 3, 3, 5) },
    ] satisfies Partial<Batch>[]) {
      await expect(session.evaluate({ ...batch, ...change })).rejects.toMatchObject({ name: "ArgumentError" });
    }
    await refused((value) => session.accumulate(batch, value));
    await refused((value) => session.forward(batch, value));
    await refused((value) => session.forward(batch, { ...firstStep, values: value }), Array.isArray);
    await refused((value) => session.forward(batch, { ...firstStep, values: [value] }));
    await refused((value) => session.logProbs(value));
    await refused((value) => session.backward({ logProb: value }));
    await refused((value) => session.accumulate(batch, { ...firstStep, objective: value }));
    await refused((value) => session.accumulate(batch, { ...firstStep, objective: { type: value } }));
    await refused(
      (value) => session.accumulate(batch, { ...firstStep, step: value }),
      (value) => value === 7,
    );
  });

  test("update", async () => {
    const update = { learningRates: Float64Array.of(0, 0, 0, 0), maxGradNorm: null, denominator: 1 };
    await refused(session.update.bind(session));
    await refused((value) => session.update({ ...update, learningRates: value }));
    await refused(
      (value) => session.update({ ...update, maxGradNorm: value }),
      (value) => value === null || value === 7 || value === 1e300,
    );
    await refused(
      (value) => session.update({ ...update, denominator: value }),
      (value) => value === 7 || value === 1e300,
    );
    await expect(
      session.update({ ...update, learningRates: Float64Array.of(Number.NaN, 0, 0, 0) }),
    ).rejects.toMatchObject({
      code: "ARGUMENT_INVALID",
    });
  });

  test("folders", async () => {
    const relative = (value: unknown) => value === "no";
    await refused(session.saveAdapter.bind(session), relative);
    await refused(session.saveCheckpoint.bind(session), relative);
    await refused(session.loadCheckpoint.bind(session));
  });

  test("generate", async () => {
    await refused((value) => session.generate(value)[Symbol.asyncIterator]().next());
    await refused((value) => first({ prompts: value }), Array.isArray);
    await refused((value) => first({ prompts: [value] }));
    await expect(first({ prompts: [new Int32Array(0)] })).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
    const positive = (value: unknown) => value === 7 || value === 1e300;
    const allowed: Record<string, (value: unknown) => boolean> = {
      maxNewTokens: (value) => value === 7,
      temperature: positive,
      topK: (value) => value === 7,
      topP: () => false,
      minP: () => false,
      repetitionPenalty: positive,
      seed: (value) => value === 7,
    };
    for (const [key, fine] of Object.entries(allowed)) {
      await refused(
        (value) => first({ [key]: value }),
        (value) => fine(value) || (value === null && key === "seed"),
      );
    }
    await refused(
      (value) => first({ stopTokenIds: value }),
      (value) => value === null || Array.isArray(value),
    );
    await refused((value) => first({ signal: value }));
    await expect(first({ maxNewTokens: 2 ** 31 })).rejects.toMatchObject({ code: "ARGUMENT_INVALID" });
  });
});

test("the session still works after all of that", async () => {
  expect((await session.evaluate(batchOf([1, 2, 3]))).tokens[0]).toBe(2);
});

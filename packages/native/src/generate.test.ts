import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { GenerateOptions, Generator, TokenEvent } from "@tunesmith/core";
import { afterAll, describe, expect, test } from "vitest";
import { batchOf, fixtures, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./index.ts";

const model = await loadModel(tinyModel);
const session = await model.createGenerator();
afterAll(() => session.dispose());

const prompts = [Int32Array.of(5, 9, 40, 7), Int32Array.of(17), Int32Array.of(8, 8, 8, 8, 9, 30)];
const endless = { maxNewTokens: 2_000, stopTokenIds: [] };

async function all(options: GenerateOptions, from: Generator = session): Promise<TokenEvent[]> {
  const events: TokenEvent[] = [];
  for await (const event of from.generate(options)) events.push(event);
  return events;
}

const ofPrompt = (events: TokenEvent[], index: number) =>
  events.filter((event) => event.index === index).map((event) => event.tokenId);

describe("greedy", () => {
  const cases = Object.entries(
    JSON.parse(readFileSync(join(fixtures, "goldens/llama/generate.json"), "utf8")) as Record<
      string,
      { prompt: number[]; output: number[] }
    >,
  );

  test("all prompts together give the reference's continuations", async () => {
    const events = await all({
      prompts: cases.map(([, { prompt }]) => Int32Array.from(prompt)),
      maxNewTokens: cases[0]?.[1].output.length ?? 0,
      stopTokenIds: [],
    });
    for (const [index, [name, { output }]] of cases.entries()) expect(ofPrompt(events, index), name).toEqual(output);
    expect(events.filter((event) => event.finishReason === "length")).toHaveLength(cases.length);
  });

  test("a stop token is given out and ends its prompt only", async () => {
    const [, { prompt, output }] = cases[0] as (typeof cases)[number];
    const stop = output[2] as number;
    const ids = Int32Array.from(prompt);
    const events = await all({ prompts: [ids, ids], maxNewTokens: 8, stopTokenIds: [stop] });
    const expected = output.slice(0, output.indexOf(stop) + 1);
    for (const index of [0, 1]) expect(ofPrompt(events, index)).toEqual(expected);
    expect(events.at(-1)).toEqual({ index: 1, sample: 0, tokenId: stop, logProb: null, finishReason: "stop" });
  });
});

describe("sampling", () => {
  const sampling = { prompts, maxNewTokens: 12, temperature: 1.5, topK: 50, topP: 0.95, minP: 0.01, stopTokenIds: [] };

  test("the seed decides", async () => {
    const events = await all({ ...sampling, seed: 3 });
    const again = await all({ ...sampling, seed: 3 });
    const other = await all({ ...sampling, seed: 4 });
    for (const index of prompts.keys()) expect(ofPrompt(again, index)).toEqual(ofPrompt(events, index));
    expect(ofPrompt(other, 0)).not.toEqual(ofPrompt(events, 0));
  });

  test("more prompts than decode together all finish", async () => {
    const events = await all({ ...sampling, prompts: Array.from({ length: 70 }, (_, n) => Int32Array.of(n + 3)) });
    expect(events).toHaveLength(70 * 12);
    expect(new Set(events.filter((event) => event.finishReason === "length").map((event) => event.index)).size).toBe(
      70,
    );
  });

  test("no prompt gives no token", async () => {
    expect(await all({ ...sampling, prompts: [] })).toEqual([]);
  });
});

describe("stopping", () => {
  test("leaving the loop stops generation", async () => {
    let seen = 0;
    for await (const _ of session.generate({ prompts, ...endless })) {
      seen += 1;
      if (seen === 5) break;
    }
    expect(seen).toBe(5);
    // The engine is free at once: 2,000 tokens would be in the way.
    expect((await session.evaluate(batchOf([1, 2, 3]))).tokens[0]).toBe(2);
  });

  test("an abort throws AbortError after the token in hand", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let seen = 0;
    const run = async () => {
      for await (const _ of session.generate({ prompts, ...endless, signal: controller.signal })) {
        seen += 1;
        if (seen === 4) controller.abort(reason);
      }
    };
    await expect(run()).rejects.toMatchObject({ name: "AbortError", code: "ABORTED", cause: reason });
    expect(seen).toBe(4);
  });

  test("an abort reaches a generation that still waits for the engine", async () => {
    const controller = new AbortController();
    const running = session.generate({ prompts, ...endless })[Symbol.asyncIterator]();
    await running.next();
    const waiting = all({ prompts, ...endless, signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    await running.return?.();
  });

  test("a signal aborted before starts nothing", async () => {
    await expect(all({ prompts, ...endless, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
  });

  test("dispose ends a generation with DISPOSED", async () => {
    const own = await model.createGenerator();
    const run = async () => {
      for await (const _ of own.generate({ prompts, ...endless })) own.dispose();
    };
    await expect(run()).rejects.toMatchObject({ code: "DISPOSED" });
  });
});

test("generation leaves training as it was", async () => {
  const batch = batchOf([5, 9, 40, 7]);
  const before = await session.evaluate(batch);
  await all({ prompts, maxNewTokens: 5 });
  expect(await session.evaluate(batch)).toEqual(before);
});

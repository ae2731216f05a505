import type { GenerateOptions, TokenEvent } from "@tunesmith/core";
import { type Completion, complete } from "@tunesmith/core";
import { afterAll, expect, test } from "vitest";
import { batchOf, tinyModel } from "../test/fixture.ts";
import { loadModel } from "./index.ts";

const model = await loadModel(tinyModel);
const session = await model.createGenerator();
afterAll(() => session.dispose());

const prompts = [Int32Array.of(5, 9, 40, 7), Int32Array.of(17), Int32Array.of(8, 8, 8, 8, 9, 30)];
const sampling = { prompts, temperature: 0.9, topP: 0.9, maxNewTokens: 10, stopTokenIds: [], seed: 4 };
const options: GenerateOptions = { ...sampling, numReturnSequences: 4, logProbs: true };

const plain = (completions: Completion[][]) =>
  completions.flat().map(({ tokenIds, logProbs, ...rest }) => ({ ...rest, ids: [...tokenIds], logProbs }));

test("slots change nothing, and the first sample is what one alone is", async () => {
  const all = await complete(session, options);
  expect(all.map((samples) => samples.length)).toEqual([4, 4, 4]);
  for (const maxNumSeqs of [1, 3, 8])
    expect(plain(await complete(session, { ...options, maxNumSeqs }))).toEqual(plain(all));
  const alone = await complete(session, { ...sampling, logProbs: true });
  expect(plain(alone)).toEqual(plain(all.map(([first]) => [first as Completion])));
  const texts = new Set(all.flat().map(({ prompt, tokenIds }) => `${prompt} ${tokenIds.join()}`));
  expect(texts.size).toBe(12);
});

test("log-probabilities are those of prompt and answer in one row, to the bit", async () => {
  for (const { prompt, tokenIds, logProbs } of (await complete(session, options)).flat()) {
    const ids = [...(prompts[prompt] as Int32Array), ...tokenIds];
    const { logProb } = await session.logProbs(batchOf(ids), { temperature: 0.9 });
    expect(logProbs).toEqual(logProb.slice(-tokenIds.length));
  }
});

test("a sample that is ended gets no further token, and the others get theirs", async () => {
  const all = await complete(session, options);
  const third = all[1]?.[2]?.tokenIds[2] as number;
  const stopWhen = ({ index, sample, tokenId }: TokenEvent) => index === 1 && sample === 2 && tokenId === third;
  for (const maxNumSeqs of [1, 2, 8]) {
    const stopped = await complete(session, { ...options, maxNumSeqs, stopWhen });
    const own = stopped[1]?.[2] as Completion;
    const end = (all[1]?.[2]?.tokenIds.indexOf(third) as number) + 1;
    expect(own).toMatchObject({ finishReason: "stop", tokenIds: all[1]?.[2]?.tokenIds.slice(0, end) });
    const others = (completions: Completion[][]) =>
      plain(completions).filter(({ prompt, sample }) => prompt !== 1 || sample !== 2);
    expect(others(stopped)).toEqual(others(all));
  }
});

test("samples that have all been ended end the generation", async () => {
  const told: Completion[] = [];
  const endless = { prompts, maxNewTokens: 100_000, stopTokenIds: [], numReturnSequences: 5, maxNumSeqs: 2 };
  await complete(session, { ...endless, stopWhen: () => true }, (completion) => told.push(completion));
  expect(told).toHaveLength(15);
  for (const { tokenIds, finishReason } of told) expect([tokenIds.length, finishReason]).toEqual([1, "stop"]);
});

test("no sample, no slot and what is no function are refused by name", async () => {
  for (const [name, value] of [
    ["numReturnSequences", 0],
    ["maxNumSeqs", 0],
    ["logProbs", "yes"],
    ["stopWhen", "END"],
  ] as const)
    await expect(complete(session, { ...options, [name]: value } as GenerateOptions)).rejects.toThrow(name);
});

import { appendFile, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { CallbackError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { RewardFile } from "./journal.ts";
import { namedRewards, type RewardFunction } from "./reward.ts";
import { type RewardGroup, type RewardLimits, score } from "./score.ts";

const limits: RewardLimits = { timeout: null, concurrency: 16, retries: 0, onHeld: () => {} };
const state = { step: 3, totalSteps: 9, epoch: 0.5, generation: 2 };
const never = new AbortController().signal;

function group(n: number, completions: string[]): RewardGroup {
  return {
    prompt: `prompt ${n}`,
    place: `rows.jsonl:${n + 1}`,
    columns: { answer: n },
    completions,
    completionIds: completions.map((text) => Int32Array.from(text, (c) => c.charCodeAt(0))),
  };
}

const groups = [group(0, ["a", "bb"]), group(1, ["ccc", "d"])];

async function journal() {
  const path = join(await scratchFolder(onTestFinished), "rewards.jsonl");
  return { path, file: new RewardFile(path) };
}

const ask = async (functions: unknown, more: Partial<RewardLimits> = {}, file?: RewardFile, signal = never) =>
  score(namedRewards(functions), { groups, state, signal }, { ...limits, ...more }, file ?? (await journal()).file);

test("functions are given the completions of a prompt with the columns of its row, and may log", async () => {
  const seen: unknown[] = [];
  const length: RewardFunction = ({ completions, answer, prompts, state: at, logMetric, logExtra }) => {
    seen.push([prompts, completions, answer, at]);
    logMetric("longest", Math.max(...completions.map((text) => text.length)));
    logExtra(
      "upper",
      completions.map((text) => text.toUpperCase()),
    );
    return completions.map((text) => text.length);
  };
  const none = async ({ completions }: { completions: readonly string[] }) => completions.map(() => null);
  expect(await ask([length, none])).toEqual({
    rewards: [
      [1, null],
      [2, null],
      [3, null],
      [1, null],
    ],
    metrics: { longest: 2.5 },
    extra: [{ upper: "A" }, { upper: "BB" }, { upper: "CCC" }, { upper: "D" }],
  });
  expect(seen).toEqual([
    [["prompt 0", "prompt 0"], ["a", "bb"], [0, 0], state],
    [["prompt 1", "prompt 1"], ["ccc", "d"], [1, 1], state],
  ]);
});

test("what is stored is not asked again, what is not is: after a failure, and in another process", async () => {
  const { path, file } = await journal();
  const asked: string[] = [];
  let isBroken = true;
  const flaky: RewardFunction = ({ prompts, completions }) => {
    asked.push(String(prompts[0]));
    if (isBroken && prompts[0] === "prompt 1") throw new Error("no network");
    return completions.map(() => 0.5);
  };
  await expect(ask({ name: "flaky", reward: flaky }, {}, file)).rejects.toThrow(CallbackError);
  await file.close();
  // A process that was killed while it wrote.
  await appendFile(path, '{"generation":2,"rew');
  isBroken = false;
  const again = new RewardFile(path);
  const { rewards } = await ask({ name: "flaky", reward: flaky }, {}, again);
  await again.close();
  expect(rewards).toEqual([[0.5], [0.5], [0.5], [0.5]]);
  expect(asked).toEqual(["prompt 0", "prompt 1", "prompt 1"]);
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).prompt)).toEqual([0, 1]);
  await truncate(path, 0);
  await ask({ name: "flaky", reward: flaky }, {}, new RewardFile(path));
  expect(asked).toHaveLength(5);
});

test("other completions at the same place are asked for", async () => {
  const { file } = await journal();
  let calls = 0;
  const counting: RewardFunction = ({ completions }) => {
    calls += 1;
    return completions.map(() => 1);
  };
  const functions = namedRewards(counting);
  await score(functions, { groups, state, signal: never }, limits, file);
  await score(
    functions,
    { groups: [groups[0] as RewardGroup, group(1, ["x", "y"])], state, signal: never },
    limits,
    file,
  );
  await score(functions, { groups, state: { ...state, generation: 3 }, signal: never }, limits, file);
  expect(calls).toBe(2 + 1 + 2);
});

test("what a function throws names it, the prompt and the completion", async () => {
  const failing: RewardFunction = ({ prompts, completions }) => {
    if (prompts[0] === "prompt 1") throw new Error("boom");
    return completions.map(() => 0);
  };
  await expect(ask({ name: "mine", reward: failing })).rejects.toThrow(
    '[rewardFuncs.mine] expected a number or null for each of 2 completions (rows.jsonl:2: prompt "prompt 1", completion "ccc" and 1 more), got: boom; fix the function',
  );
});

test.each<[unknown, RegExp]>([
  [[1], /got: 1 values/u],
  [[1, 2, 3], /got: 3 values/u],
  [7, /got: 7, which is no list/u],
  [[1, Number.NaN], /got: NaN for completion 2/u],
  [["1", 2], /got: 1 for completion 1/u],
])("%j in place of two rewards is an error", async (given, message) => {
  await expect(ask({ name: "wrong", reward: () => given })).rejects.toThrow(message);
});

test("no more calls than allowed run at once, and all functions run at the same time", async () => {
  let [running, most] = [0, 0];
  const slow: RewardFunction = async ({ completions }) => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running -= 1;
    return completions.map(() => 0);
  };
  const two = [
    { name: "a", reward: slow },
    { name: "b", reward: slow },
  ];
  await ask(two);
  expect(most).toBe(4);
  most = 0;
  await ask(two, { concurrency: 3 });
  expect(most).toBe(3);
});

test("a call that fails is made again as often as asked, and one that hangs ends in time", async () => {
  let calls = 0;
  const flaky: RewardFunction = ({ completions }) => {
    calls += 1;
    if (calls <= 2) throw new Error("once more");
    return completions.map(() => 1);
  };
  await ask(flaky, { retries: 2, concurrency: 1 });
  expect(calls).toBe(4);
  const hanging = ask({ name: "hangs", reward: () => new Promise(() => {}) }, { timeout: 0.03 });
  await expect(hanging).rejects.toThrow(/still pending after 0.03 seconds \(rewardTimeout\); .*raise rewardTimeout/u);
});

test("an abort does not wait for a function that never answers", async () => {
  const stop = new AbortController();
  const waiting = ask({ name: "hangs", reward: () => new Promise(() => {}) }, {}, undefined, stop.signal);
  setTimeout(() => stop.abort(new Error("enough")), 20);
  await expect(waiting).rejects.toThrow(/^enough$/u);
});

test("what is no reward function is refused, and so are two of one name", () => {
  const wrong: [unknown, RegExp][] = [
    [[], /expected at least one reward function/u],
    [[3], /\[rewardFuncs\[0\]\] expected a function/u],
    [[{ name: "a/b", reward: () => [] }], /\[rewardFuncs\[0\].name\]/u],
    [[function a() {}, { name: "a", reward: () => [] }], /got "a" twice/u],
  ];
  for (const [given, message] of wrong) expect(() => namedRewards(given)).toThrow(message);
  expect(namedRewards([() => [], () => []]).map(({ name }) => name)).toEqual(["reward1", "reward2"]);
});

test("columns of two functions that have one name are both kept, and none takes that of the file", async () => {
  const gives = (column: string, value: string): RewardFunction => {
    return ({ completions, logExtra }) => {
      logExtra(
        column,
        completions.map(() => value),
      );
      return completions.map(() => 1);
    };
  };
  const { extra } = await ask([
    { name: "first", reward: gives("note", "a") },
    { name: "second", reward: gives("note", "b") },
  ]);
  expect(extra[0]).toEqual({ note: "a", "second/note": "b" });
  await expect(ask([gives("prompt", "mine")])).rejects.toThrow(/another name than prompt/u);
});

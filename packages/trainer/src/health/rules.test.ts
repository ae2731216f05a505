import { OptionError } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { repeatedShare } from "./answers.ts";
import { type HealthAnswer, type HealthRun, type HealthStep, type HealthView, median } from "./rule.ts";
import { healthRules, parseFinding, parseHealthRules, rulesOf } from "./rules.ts";

const run: HealthRun = {
  totalSteps: 200,
  warmupSteps: 0,
  learningRate: 2e-4,
  optim: "adamw_torch",
  optimizer: "adamw",
  isAdapter: true,
  maxGradNorm: 1,
  sampleMaxNewTokens: 64,
  streamed: false,
};

/** A run on its way, of which nothing is known but what is given. */
function view(event: HealthView["event"], given: Partial<Omit<HealthView, "run">> & { run?: Partial<HealthRun> }) {
  const { run: facts, ...more } = given;
  const step = given.steps?.at(-1)?.step ?? 0;
  const nothing = { steps: [], firstLosses: [], evaluations: [], samples: null, firstSamples: null, rows: [] };
  return { event, step, ...nothing, untrainedTokens: [], memory: null, ...more, run: { ...run, ...facts } };
}

/** Steps as a healthy run has them, but for what is given of each. */
function steps(count: number, of: (n: number) => Partial<HealthStep> = () => ({})): HealthStep[] {
  return Array.from({ length: count }, (_, n) => {
    const usual = {
      loss: 1 + Math.exp(-n / 30) + 0.1 * Math.sin(n),
      learningRate: 2e-4,
      gradNorm: 1.5 + 0.3 * Math.cos(n),
    };
    return { step: n + 1, ...usual, seconds: 1, waitSeconds: 0.001, metrics: {}, ...of(n) };
  });
}

/** Names of the rules that find something, and what they find. */
const found = (given: HealthView) =>
  healthRules.flatMap((rule) => {
    const finding = rule.check(given);
    return finding === null ? [] : [[rule.name, finding] as const];
  });
const names = (given: HealthView) => found(given).map(([name]) => name);

describe("a healthy run", () => {
  test("is told nothing: before its first step, at any of 200 steps, at its evaluations and its answers", () => {
    expect(names(view("start", {}))).toEqual([]);
    const all = steps(200);
    const firstLosses = all.slice(0, 50).map(({ loss }) => loss);
    for (let n = 1; n <= all.length; n += 1)
      expect(
        names(view("step", { steps: all.slice(Math.max(0, n - 100), n), firstLosses: firstLosses.slice(0, n) })),
      ).toEqual([]);
    const evaluations = [1.4, 1.3, 1.35, 1.28].map((evalLoss, n) => ({
      step: 10 * n,
      evalLoss,
      trainLoss: 1.5 - 0.1 * n,
    }));
    expect(names(view("eval", { evaluations }))).toEqual([]);
    const samples = {
      step: 150,
      answers: ["It is Paris.", "Rome, of course.", "Oslo."].map((text) => answer({ completion: text })),
    };
    expect(names(view("sample", { samples }))).toEqual([]);
    const memory = { used: 96, limit: 100, device: "host" };
    expect(names(view("step", { steps: steps(30), memory }))).toEqual([]);
  });
});

const answer = (given: Partial<HealthAnswer>): HealthAnswer => {
  const completion = given.completion ?? "an answer";
  return {
    prompt: `prompt of ${completion}`,
    completion,
    reference: null,
    tokens: 20,
    isCut: false,
    repeated: 0,
    ...given,
  };
};
const answers = (step: number, ...given: Partial<HealthAnswer>[]) => ({ step, answers: given.map(answer) });

describe("losses and gradients", () => {
  test("a loss that is where it began is told after twice the steps that are compared, of a short run too", () => {
    const flat = steps(100, (n) => ({ loss: 2 + 0.01 * Math.sin(n) }));
    const firstLosses = flat.slice(0, 50).map(({ loss }) => loss);
    expect(found(view("step", { steps: flat, firstLosses }))).toEqual([
      [
        "loss-not-falling",
        expect.objectContaining({
          value: expect.closeTo(2, 1),
          message: expect.stringMatching(/over the last 50 steps, 2.* over the first 50/),
        }),
      ],
    ]);
    expect(names(view("step", { steps: flat.slice(0, 99), firstLosses }))).toEqual([]);
    expect(names(view("step", { steps: flat, firstLosses, run: { warmupSteps: 60 } }))).toEqual([]);
    const short = { steps: flat.slice(0, 20), firstLosses: firstLosses.slice(0, 20), run: { totalSteps: 40 } };
    expect(names(view("step", short))).toEqual(["loss-not-falling"]);
    const tooShort = { steps: flat.slice(0, 19), firstLosses: firstLosses.slice(0, 19), run: { totalSteps: 19 } };
    expect(names(view("step", tooShort))).toEqual([]);
    // What is known by heart has nowhere to fall.
    const known = steps(100, () => ({ loss: 0.01 }));
    expect(names(view("step", { steps: known, firstLosses: known.slice(0, 50).map(({ loss }) => loss) }))).toEqual([]);
  });

  test("a short run that falls under the noise of its batches is not told that it does not", () => {
    let state = 1;
    // Park and Miller's generator, and a sum of uniform numbers of variance 1.
    const uniform = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    const normal = () => Array.from({ length: 12 }, uniform).reduce((sum, one) => sum + one, -6);
    const told = Array.from({ length: 600 }, (_, seed) => {
      const totalSteps = 20 + (seed % 21);
      const noise = 0.05 + 0.05 * (seed % 4);
      const all = steps(totalSteps, (n) => ({ loss: (1.5 + 1.5 * Math.exp(-n / 60)) * (1 + noise * normal()) }));
      const firstLosses = all.map(({ loss }) => loss);
      return Array.from({ length: totalSteps }, (_, n) =>
        names(
          view("step", { steps: all.slice(0, n + 1), firstLosses: firstLosses.slice(0, n + 1), run: { totalSteps } }),
        ),
      ).flat();
    }).flat();
    expect(told.filter((name) => name === "loss-not-falling")).toEqual([]);
  });

  test("a spike is seven deviations, twice the mean and half a nat above, and names the rows with the highest loss", () => {
    const rows = [3, 9, 5].map((loss, row) => ({ row, loss }));
    const spiked = (loss: number, of: (n: number) => number) => {
      const all = steps(40, (n) => ({ loss: n === 39 ? loss : of(n) }));
      return found(view("step", { steps: all, rows }));
    };
    expect(spiked(6, (n) => 1 + 0.1 * Math.sin(n))).toEqual([
      [
        "loss-spike",
        {
          value: 6,
          message: expect.stringContaining("6 in step 40, where the 39 steps before have 1"),
          remedy: expect.any(String),
          rows: [1, 2, 0],
        },
      ],
    ]);
    expect(spiked(1.9, (n) => 1 + 0.01 * Math.sin(n))).toEqual([]);
    expect(spiked(0.4, () => 0.01)).toEqual([]);
    expect(spiked(6, (n) => 3 + 2 * Math.sin(n))).toEqual([]);
    const early = steps(20, (n) => ({ loss: n === 19 ? 20 : 1 }));
    expect(names(view("step", { steps: early }))).toEqual([]);
  });

  test("a gradient norm above 100 is told, and one that grows fivefold", () => {
    const large = steps(3, (n) => ({ gradNorm: n === 2 ? 140 : 2 }));
    expect(found(view("step", { steps: large, rows: [{ row: 7, loss: 1 }] }))).toEqual([
      [
        "gradient-norm",
        expect.objectContaining({ value: 140, rows: [7], remedy: expect.stringContaining("maxGradNorm 1 clips it") }),
      ],
    ]);
    const growing = (factor: number, from = 1) => steps(50, (n) => ({ gradNorm: from * factor ** (n / 45) }));
    expect(found(view("step", { steps: growing(8) }))).toEqual([
      ["gradient-norm-growing", expect.objectContaining({ message: expect.stringMatching(/from 1\.\d+ to 7/) })],
    ]);
    expect(names(view("step", { steps: growing(4) }))).toEqual([]);
    expect(names(view("step", { steps: growing(8, 0.01) }))).toEqual([]);
    expect(
      names(view("step", { steps: growing(8).map((one, n) => (n === 30 ? { ...one, gradNorm: Number.NaN } : one)) })),
    ).toEqual([]);
  });

  test("a rate at which nothing is trained is told before the first step, and where a step has it", () => {
    expect(found(view("start", { run: { learningRate: 0.02 } }))).toEqual([
      [
        "learning-rate",
        expect.objectContaining({
          value: 0.02,
          message: expect.stringContaining("too high for adamw_torch on an adapter"),
        }),
      ],
    ]);
    expect(names(view("start", { run: { learningRate: 0.02, isAdapter: false } }))).toEqual([]);
    expect(names(view("start", { run: { learningRate: 1, isAdapter: false } }))).toEqual(["learning-rate"]);
    expect(names(view("start", { run: { learningRate: 1e-3, optimizer: "lion" } }))).toEqual(["learning-rate"]);
    expect(names(view("start", { run: { learningRate: 1, optimizer: "sgd" } }))).toEqual([]);
    expect(names(view("step", { steps: steps(3, () => ({ learningRate: 0.02 })) }))).toEqual(["learning-rate"]);
  });

  test("an evaluation loss that rises three times while the training loss falls is told", () => {
    const evaluations = (evals: number[], trains: number[]) =>
      view("eval", {
        evaluations: evals.map((evalLoss, n) => ({ step: n, evalLoss, trainLoss: trains[n] as number })),
      });
    expect(found(evaluations([1, 2, 3, 4], [5, 4, 3, 2]))).toEqual([
      [
        "overfitting",
        expect.objectContaining({
          value: 4,
          message: expect.stringContaining("1 to 4, while the training loss fell, 5 to 2"),
        }),
      ],
    ]);
    expect(names(evaluations([1, 2, 3], [5, 4, 3]))).toEqual([]);
    expect(names(evaluations([1, 2, 3, 4], [1, 2, 3, 4]))).toEqual([]);
    expect(names(evaluations([1, 2, 2, 4], [5, 4, 3, 2]))).toEqual([]);
  });
});

describe("answers", () => {
  const bad = (given: Partial<HealthAnswer>, more: Partial<HealthView> = {}) =>
    names(view("sample", { samples: answers(150, given, { ...given, prompt: "b" }, { completion: "well" }), ...more }));

  test("repeats, limits and silence are told of a majority of the answers", () => {
    expect(bad({ repeated: 0.8 })).toEqual(["repeated-ngrams"]);
    expect(bad({ isCut: true })).toEqual(["cut-answers"]);
    expect(bad({ completion: " \n" })).toEqual(["empty-answers"]);
    expect(names(view("sample", { samples: answers(150, { isCut: true }, {}, { completion: "b" }) }))).toEqual([]);
  });

  test("in the first half of a run only what was not so before it is told", () => {
    const early = answers(50, { isCut: true }, { isCut: true, completion: "b" });
    const before = answers(0, { isCut: true }, { isCut: true, completion: "b" });
    expect(names(view("sample", { samples: early }))).toEqual([]);
    expect(names(view("sample", { samples: early, firstSamples: before }))).toEqual([]);
    expect(names(view("sample", { samples: early, firstSamples: answers(0, {}, { completion: "b" }) }))).toEqual([
      "cut-answers",
    ]);
    expect(names(view("sample", { samples: before, firstSamples: before }))).toEqual([]);
  });

  test("one answer to different prompts is told, but not where it is right, nor a label of few prompts", () => {
    const same = (...given: Partial<HealthAnswer>[]) =>
      names(
        view("sample", {
          samples: answers(150, ...given.map((one, n) => ({ completion: "as an assistant", prompt: `p${n}`, ...one }))),
        }),
      );
    expect(same({}, {}, {})).toEqual(["equal-answers"]);
    expect(same({ completion: "yes" }, {}, {})).toEqual([]);
    expect(same({ tokens: 1 }, { tokens: 1 }, { tokens: 1 })).toEqual([]);
    expect(same({ tokens: 1 }, { tokens: 1 }, { tokens: 1 }, { tokens: 1 })).toEqual(["equal-answers"]);
    expect(same({ reference: "a" }, { reference: "a" })).toEqual([]);
    expect(same({ reference: "a", tokens: 1 }, { reference: "b" })).toEqual(["equal-answers"]);
    expect(same({ prompt: "p" }, { prompt: "p" })).toEqual([]);
  });

  test("the repeated share is that of 4-grams that stood there before", () => {
    expect(repeatedShare([1, 2, 3, 4, 5])).toBe(0);
    expect(repeatedShare(Array.from({ length: 40 }, (_, n) => n))).toBe(0);
    // 37 4-grams, of which four are different.
    expect(repeatedShare(Array.from({ length: 40 }, (_, n) => n % 4))).toBeCloseTo(1 - 4 / 37, 12);
  });
});

describe("device and data", () => {
  test("waiting for rows for most of the time is told, with another remedy where they are streamed", () => {
    const slow = (waitSeconds: number, streamed: boolean) =>
      found(view("step", { steps: steps(20, () => ({ seconds: 0.1, waitSeconds })), run: { streamed } }));
    expect(slow(0.3, true)).toEqual([
      [
        "waiting-for-data",
        expect.objectContaining({ value: expect.closeTo(0.75), remedy: expect.stringContaining("without streaming") }),
      ],
    ]);
    expect(slow(0.3, false)[0]?.[1].remedy).toContain("disk");
    expect(slow(0.09, true)).toEqual([]);
    expect(names(view("step", { steps: steps(20, () => ({ seconds: 1e-4, waitSeconds: 1e-3 })) }))).toEqual([]);
  });

  test("memory of which less than 3 % is left is told", () => {
    const memory = { used: 97.5 * 2 ** 30, limit: 100 * 2 ** 30, device: "cuda device" };
    expect(found(view("step", { steps: steps(1), memory }))).toEqual([
      [
        "memory",
        expect.objectContaining({
          value: 0.975,
          message: "the memory of the cuda device is nearly full: 97.50 GiB of 100.00 GiB, 97.5 %",
        }),
      ],
    ]);
  });

  test("tokens without an embedding are told, five by name", () => {
    const untrainedTokens = Array.from({ length: 7 }, (_, n) => ({ id: n, text: `<${n}>` }));
    expect(found(view("step", { steps: steps(1), untrainedTokens }))).toEqual([
      [
        "untrained-tokens",
        expect.objectContaining({
          value: 7,
          about: "0 1 2 3 4 5 6",
          message: expect.stringMatching(/"<0>" \(0\), .*"<4>" \(4\) and 2 more$/),
        }),
      ],
    ]);
  });
});

test("rules of one's own are checked, and take the place of those of their name", () => {
  const own = { name: "loss-spike", check: () => null };
  expect(rulesOf([own])).toHaveLength(healthRules.length);
  expect(rulesOf([own]).at(-1)).toBe(own);
  for (const [given, message] of [
    [{}, "[healthRules] expected a list of rules, got object"],
    [[() => null], "[healthRules[0]] expected a rule, got function"],
    [[{ name: "", check: () => null }], '[healthRules[0].name] expected a name, got ""'],
    [[{ name: "a" }], "[healthRules[0].check] expected a function, got undefined"],
    [[own, own], "[healthRules[1].name] expected a name that no other rule has"],
  ] as const) {
    expect(() => parseHealthRules(given)).toThrow(OptionError);
    expect(() => parseHealthRules(given)).toThrow(message);
  }
  expect(parseFinding(undefined)).toBeNull();
  for (const wrong of [Promise.resolve(null), { message: "a" }, { message: "a", remedy: "b", value: 1, rows: ["x"] }])
    expect(() => parseFinding(wrong)).toThrow();
});

test("the middle of an even number of values lies between two of them", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([5])]).toEqual([2, 2.5, 5]);
});

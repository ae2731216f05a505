import { expect, test } from "vitest";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

const warnings = async (args: object) => {
  const { trainer: made } = await trainer({ maxSteps: 4, ...args });
  return ofType((await record(made.train())).events, "warning").map(({ message }) => message);
};

test("a rate that is never reached, far too high, zero, or of tensors that are not there is told", async () => {
  expect(await warnings({ warmupSteps: 4 })).toEqual([
    expect.stringMatching(
      /the warm-up of 4 steps is no shorter than the run of 4, .* \(0\.00015 in the last step\); lower warmupSteps/,
    ),
  ]);
  expect(await warnings({ warmupSteps: 100 })).toHaveLength(1);
  expect(await warnings({ lrGroups: [{ pattern: "q_proj", learningRate: 20 }] })).toContainEqual(
    expect.stringMatching(/^lrGroups\[0\]\.learningRate 20 is far above/),
  );
  expect(await warnings({ learningRate: 0 })).toEqual([expect.stringMatching(/^learningRate 0 trains nothing/)]);
  expect(await warnings({ embeddingLearningRate: 1e-5 })).toEqual([
    expect.stringMatching(/^embeddingLearningRate 0\.00001 has no effect: no embedding is trained/),
  ]);
  expect(await warnings({ lrGroups: [{ pattern: "q_proj" }] })).toContainEqual(
    expect.stringMatching(/^lrGroups\[0\] with the pattern "q_proj" has no effect/),
  );
});

test("usual rates are not", async () => {
  expect(await warnings({ warmupSteps: 3, learningRate: 0.05 })).toEqual([]);
  expect(await warnings({ optim: "sgd", learningRate: 1e-3 })).toEqual([]);
  expect(await warnings({ optim: "paged_adamw_32bit", learningRate: 0.05 })).toEqual([
    "optim paged_adamw_32bit is adamw_torch here: its states stay on the device, where the memory plan counts them",
  ]);
});

test("constants with which a schedule rises, never falls, or begins in its decay are told", async () => {
  const told = (lrSchedulerType: string, lrSchedulerKwargs: object, more = {}) =>
    warnings({ learningRate: 1e-3, lrSchedulerType, lrSchedulerKwargs, ...more });
  for (const type of ["cosine_with_min_lr", "cosine_warmup_with_min_lr"]) {
    expect(await told(type, { minLr: 1 })).toEqual([
      `lrSchedulerKwargs of ${type}: minLr 1 is above learningRate 0.001, so the rate rises to it; lower it`,
    ]);
    expect(await told(type, { minLr: 1e-3 })).toEqual([]);
  }
  const evaluated = { evalStrategy: "steps", evalSteps: 2 };
  expect(await told("reduce_lr_on_plateau", { minLr: 1e-3 }, evaluated)).toEqual([
    expect.stringContaining("minLr 0.001 is no lower than learningRate 0.001, which is never cut"),
  ]);
  expect(await told("reduce_lr_on_plateau", {}, evaluated)).toEqual([]);
  expect(await told("warmup_stable_decay", { numDecaySteps: 4 }, { warmupSteps: 2 })).toEqual([
    expect.stringMatching(
      /a decay of 4 steps after 2 of warm-up is longer than the run of 4, so its first 2 steps are left out/u,
    ),
  ]);
  expect(await told("warmup_stable_decay", { numDecaySteps: 2 }, { warmupSteps: 2 })).toEqual([]);
});

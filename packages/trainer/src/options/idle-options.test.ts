import { loraConfigSchema, modelConfigSchema, sftConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { idleOptions } from "./idle-options.ts";

const setting = (
  args: object,
  { peft = {}, weights = {}, hasEvaluation = true, hasCallbacks = false, fromProgram = [] as string[] } = {},
) => ({
  args: sftConfigSchema.parse(args),
  peft: loraConfigSchema.parse(peft),
  weights: modelConfigSchema.parse(weights),
  hasEvaluation,
  hasCallbacks,
  fromProgram,
});
const named = (...of: Parameters<typeof setting>) =>
  idleOptions(setting(...of), sftConfigSchema).map((message) => message.split(" ")[0]);

test("an option that another one leaves without effect is named with the reason", () => {
  expect(idleOptions(setting({ lrSchedulerType: "constant", warmupSteps: 5 }), sftConfigSchema)).toEqual([
    "warmupSteps 5 has no effect: lrSchedulerType constant has no warm-up; constant_with_warmup has one",
  ]);
  expect(named({ optim: "sgd", adamBeta1: 0.5, adamEpsilon: 1 })).toEqual(["adamBeta1", "adamEpsilon"]);
  expect(named({ loraplusLrRatio: 16 }, { peft: { fullFinetuning: true } })).toEqual(["loraplusLrRatio"]);
  expect(named({ simpleMaxLength: 9 })).toEqual(["simpleMaxLength"]);
  const curriculum = { stages: [{}], hardShare: 0.5, difficulty: "turns", reverseCurriculum: true };
  expect(named(curriculum)).toEqual(Object.keys(curriculum));
  expect(named({ ...curriculum, trainSamplingStrategy: "staged", simpleMaxLength: 9 })).toEqual(["simpleMaxLength"]);
  const pace = { competenceSteps: 5, initialCompetence: 0.5, difficulty: "turns", reverseCurriculum: true };
  expect(named(pace)).toEqual(Object.keys(pace));
  expect(named({ ...pace, trainSamplingStrategy: "competence" })).toEqual([]);
  expect(named({ ...pace, trainSamplingStrategy: "staged" })).toEqual(["competenceSteps", "initialCompetence"]);
  const own = ["trainSamplingStrategy", ...Object.keys(curriculum)];
  expect(named({ ...curriculum, trainSamplingStrategy: "staged" }, { fromProgram: ["sampler"] })).toEqual(own);
  expect(
    named({ evalOnStart: true, metricForBestModel: "eval_mean_token_accuracy" }, { hasEvaluation: false }),
  ).toEqual(["evalOnStart", "metricForBestModel"]);
  expect(named({ evalStrategy: "epoch", evalSteps: 5 })).toEqual(["evalSteps"]);
  expect(named({ earlyStoppingThreshold: 0.1 })).toEqual(["earlyStoppingThreshold"]);
  const prompts = { samplePrompts: ["a"], sampleMaxNewTokens: 5 };
  expect(named(prompts)).toEqual([]);
  expect(named({ ...prompts, sampleOnEval: false })).toEqual(["samplePrompts", "sampleMaxNewTokens"]);
  expect(named({ saveStrategy: "epoch", saveSteps: 5 })).toEqual(["saveSteps"]);
  expect(named({ saveStrategy: "no", saveTotalLimit: 1 })).toEqual(["saveTotalLimit"]);
  expect(named({ packingStrategy: "wrapped" })).toEqual(["packingStrategy"]);
  expect(named({ packing: true, packingStrategy: "wrapped", truncationMode: "drop" })).toEqual(["truncationMode"]);
  expect(named({ evalPacking: true }, { hasEvaluation: false })).toEqual(["evalPacking"]);
  expect(named({ trainSamplingStrategy: "sequential" }, { fromProgram: ["sampler"] })).toEqual([
    "trainSamplingStrategy",
  ]);
  expect(named({}, { weights: { bnb4bitBlocksize: 128 } })).toEqual(["bnb4bitBlocksize"]);
});

test("without such a pair there is nothing to say", () => {
  expect(named({})).toEqual([]);
  expect(named({}, { hasEvaluation: false })).toEqual([]);
  expect(named({ evalStrategy: "steps", evalSteps: 5, warmupSteps: 5, saveSteps: 5, saveTotalLimit: 1 })).toEqual([]);
  expect(named({ evalPacking: true, packingStrategy: "wrapped", truncationMode: "drop" })).toEqual([]);
  expect(named({ packing: true, evalPacking: false, truncationMode: "drop" })).toEqual([]);
  // As a run records what was not set.
  expect(named({ evalStrategy: "epoch", evalSteps: 1, loggingSteps: 1 })).toEqual([]);
  expect(named({}, { weights: { loadIn4bit: true, bnb4bitBlocksize: 128 } })).toEqual([]);
});

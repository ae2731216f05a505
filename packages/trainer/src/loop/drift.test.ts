import { grouped, loraConfigSchema, modelConfigSchema, parseOptions, trainingArgumentsSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import * as z from "zod";
import type { Resolved } from "../options/resolved.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { decisiveOptions, driftOf, refuseChanges } from "./drift.ts";

const weights = parseOptions(modelConfigSchema, {});

const schema = trainingArgumentsSchema.extend({
  ...grouped("data", { maxLength: z.int() }),
  ...grouped("run", { logRewards: z.boolean() }),
});

/** Names of the options that decide. */
function names(args: object, recipe = {}): string[] {
  const parsed = { ...parseOptions(trainingArgumentsSchema, args), ...recipe } as Resolved;
  const model = { trainer: "sft", fromProgram: [], modelType: "fake", sha256: "00", weights };
  return Object.keys(decisiveOptions(parsed, parseOptions(loraConfigSchema, {}), model, schema));
}

test("what decides the numbers of a step is remembered, a recipe's own options as it says; the rest may change", () => {
  const found = names({}, { maxLength: 5, logRewards: true });
  expect(found).toEqual(expect.arrayContaining(["seed", "learningRate", "r", "maxLength", "modelType", "modelSha256"]));
  for (const free of ["outputDir", "saveSteps", "adapterPath", "logRewards"]) expect(found).not.toContain(free);
});

test("the length of a run decides only where the learning rates depend on it", () => {
  const length = (args: object) => names(args).filter((name) => name === "maxSteps" || name === "numTrainEpochs");
  const constant = { lrSchedulerType: "constant_with_warmup", warmupSteps: 3 };
  expect(length({ lrSchedulerType: "cosine" })).toEqual(["numTrainEpochs", "maxSteps"]);
  expect(length(constant)).toEqual([]);
  expect(length({ ...constant, warmupSteps: 0.1 })).toEqual(["numTrainEpochs", "maxSteps"]);
});

test("how the weights are held is remembered where it differs from the default", () => {
  const model = {
    trainer: "sft",
    fromProgram: [],
    modelType: "fake",
    sha256: null,
    weights: { ...weights, loadIn4bit: true },
  };
  const args = parseOptions(trainingArgumentsSchema, {}) as Resolved;
  const options = decisiveOptions(args, parseOptions(loraConfigSchema, {}), model, schema);
  expect(options).toMatchObject({ loadIn4bit: true });
  expect(options).not.toHaveProperty("dtype");
});

test("an option that a checkpoint does not name had its default, and a function that is gone is named", () => {
  const args = { ...parseOptions(trainingArgumentsSchema, {}), maxLength: 5, logRewards: true } as Resolved;
  const model = { trainer: "sft", modelType: "fake", sha256: null, weights };
  const withDefaults = trainingArgumentsSchema.extend(grouped("data", { packing: z.boolean().default(false) }));
  const options = (packing: boolean, fromProgram: readonly string[] = []) =>
    decisiveOptions(
      { ...args, packing } as Resolved,
      parseOptions(loraConfigSchema, {}),
      { ...model, fromProgram },
      withDefaults,
    );
  const { packing: _, ...older } = options(false);
  const found = (config: object) => ({ path: "c", trainer: { config }, data: { fingerprint: "f" } }) as Checkpoint;
  const check = (checkpoint: Checkpoint, now: Record<string, unknown>, fingerprint = "f") =>
    refuseChanges(checkpoint, driftOf(checkpoint, { options: now, fingerprint, schema: withDefaults }));
  expect(() => check(found(older), options(false))).not.toThrow();
  expect(() => check(found(older), options(true))).toThrow(/packing \(was false, is true\)/u);
  expect(() => check(found(options(false, ["sampler"])), options(false))).toThrow(
    /fromProgram \(was \["sampler"\], is null\)/u,
  );
  expect(() => check(found(older), options(false), "g")).toThrow(/these differ: the training data; set them back/u);
});

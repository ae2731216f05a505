import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { OptionError } from "../errors.ts";
import { type OptionKeys, parseKeys } from "./keys.ts";
import { loraConfigSchema } from "./lora.ts";
import { modelConfigSchema } from "./model.ts";
import { nearestName } from "./names.ts";
import { parseOptions } from "./parse.ts";
import { together } from "./problems.ts";
import { sftConfigSchema } from "./sft.ts";
import { sortOptions, sortOptionsBeside } from "./sort.ts";

const parseConfig = (options: object) => parseOptions(sftConfigSchema, options);
const parseLoraConfig = (options: object) => parseOptions(loraConfigSchema, options);

test("the defaults are those of the libraries the names come from", () => {
  expect(parseConfig({})).toMatchObject({
    numTrainEpochs: 3,
    maxSteps: -1,
    perDeviceTrainBatchSize: 8,
    lrSchedulerType: "linear",
    maxGradNorm: 1,
    maxLength: 1024,
    assistantOnlyLoss: true,
    seed: 3407,
    loggingSteps: 1,
    saveSteps: 500,
  });
  expect(parseLoraConfig({})).toEqual({
    r: 16,
    loraAlpha: 16,
    targetModules: "all-linear",
    targetParameters: null,
    excludeModules: null,
    loraDropout: 0,
    bias: "none",
    loraBias: false,
    useRslora: false,
    useDora: false,
    modulesToSave: null,
    trainableTokenIndices: null,
    ensureWeightTying: false,
    loftqConfig: {},
    rankPattern: {},
    alphaPattern: {},
    layersToTransform: null,
    layersPattern: null,
    initLoraWeights: true,
    randomState: null,
    fullFinetuning: false,
    adapterPath: null,
  });
});

test("snake_case, kebab-case and the older names are understood", () => {
  const parsed = parseConfig({
    per_device_train_batch_size: 2,
    "max-length": 9,
    warmup_ratio: 0.1,
    adam_beta1: 0.8,
    lr_scheduler_type: "cosine",
  });
  expect(parsed).toMatchObject({
    perDeviceTrainBatchSize: 2,
    maxLength: 9,
    warmupSteps: 0.1,
    adamBeta1: 0.8,
    lrSchedulerType: "cosine",
  });
  expect(parseLoraConfig({ lora_alpha: 3, use_rslora: true })).toMatchObject({ loraAlpha: 3, useRslora: true });
});

test("an unknown option is refused with the nearest name", () => {
  expect(() => parseConfig({ learningrate: 1 })).toThrow(/got "learningrate"; did you mean "learningRate"\?/);
  expect(() => parseConfig({ gradient_acumulation_steps: 1 })).toThrow(/did you mean "gradientAccumulationSteps"\?/);
  expect(() => parseConfig({ zzzz: 1 })).toThrow(
    /expected a known option, got "zzzz"; tunesmith train --help lists them$/,
  );
  expect(() => parseLoraConfig({ rank: 8 })).toThrow(OptionError);
  for (const name of ["__proto__", "constructor", "toString"])
    expect(() => parseConfig(JSON.parse(`{"${name}":1}`))).toThrow(OptionError);
});

test("a name inside an option that an object would lose is refused", () => {
  for (const given of ['{"path":"a","__proto__":{"path":"b"}}', '[{"__proto__":1}]'])
    expect(() => parseConfig({ lrSchedulerKwargs: JSON.parse(given) })).toThrow(
      /expected other names than "__proto__" in "lrSchedulerKwargs"; rename it/,
    );
});

test("an option of another library is refused with what stands in its place, where that can be given", () => {
  const weights = (options: object) => () => parseOptions(modelConfigSchema, options);
  expect(weights({ torch_dtype: "auto", foo: 1 })).toThrow(
    /it is called "dtype"; .*got "foo"; its options are chatTemplate, addTokens, addSpecialTokens, dtype/,
  );
  expect(() => parseLoraConfig({ torchDtype: "auto" })).toThrow(/got "torchDtype"; tunesmith train --help lists them/);
});

test("values out of range are named with what was expected and what was given", () => {
  expect(() => parseConfig({ maxLength: 0 })).toThrow(
    /^\[maxLength\] expected a whole number above 0 or null, got 0; correct it, or leave/,
  );
  expect(() => parseConfig({ learningRate: "fast" })).toThrow(
    /\[learningRate\] expected a number of at least 0 or null, got "fast"; correct it/,
  );
  expect(() => parseConfig({ lrSchedulerType: "quadratic" })).toThrow(
    /\[lrSchedulerType\] expected one of .*"cosine".*got "quadratic"; correct it/,
  );
  expect(() => parseConfig({ lrSchedulerType: "cosin" })).toThrow(/got "cosin"; did you mean "cosine"\?$/);
  expect(() => parseConfig({ seed: -1 })).toThrow(/\[seed\] expected a whole number of at least 0, got -1/);
  expect(() => parseConfig({ adamBeta1: 1 })).toThrow(
    /\[adamBeta1\] expected a number of at least 0 and below 1, got 1/,
  );
  expect(() => parseConfig({ samplePrompts: ["a", ""] })).toThrow(
    /^\[samplePrompts\] expected a list, each entry a text that is not empty or null, got \["a",""\];/,
  );
  expect(() => parseLoraConfig({ targetModules: "all-liner" })).toThrow(/did you mean "all-linear"\?$/);
  expect(() => parseLoraConfig({ bias: "some" })).toThrow(
    /^\[bias\] expected one of "none", "all", "lora_only", got "some"/,
  );
  expect(() => parseLoraConfig({ initLoraWeights: "pissa_niter_x" })).toThrow(
    /^\[initLoraWeights\] expected true or false or one of "gaussian", .* or a text that matches \^pissa_niter_/,
  );
  expect(() => parseLoraConfig({ rankPattern: { q_proj: 0 } })).toThrow(
    /^\[rankPattern\] expected values by name, each a whole number above 0, got \{"q_proj":0\};/,
  );
  expect(() => parseLoraConfig({ initLoraWeights: "gausian" })).toThrow(/did you mean "gaussian"\?$/);
  expect(() => parseLoraConfig({ lora_dropuot: 0.1 })).toThrow(/did you mean "loraDropout"\?$/);
  expect(() => parseLoraConfig({ useRslora: "yes" })).toThrow(/expected true or false, got "yes"/);
  expect(() => parseConfig({ seed: 1, maxSteps: 1.5, numTrainEpochs: 0 })).toThrow(
    /\[maxSteps\].*\[numTrainEpochs\]|\[numTrainEpochs\].*\[maxSteps\]/,
  );
  expect(() => parseConfig({ maxSteps: Number.NaN })).toThrow(
    /\[maxSteps\] expected a whole number of at least -1, got NaN/,
  );
  expect(() => parseConfig({ max_steps: 1, maxSteps: 2 })).toThrow(/expected "maxSteps" once/);
});

test("undefined is as good as absent", () => {
  expect(parseConfig({ maxSteps: undefined }).maxSteps).toBe(-1);
});

test("nearest names are near", () => {
  expect(nearestName("batchSize", ["seed", "maxLength"])).toBeNull();
  expect(nearestName("sed", ["seed", "maxLength"])).toBe("seed");
});

test("the schemas give a JSON Schema with a description and a default for every option", () => {
  for (const schema of [sftConfigSchema, loraConfigSchema]) {
    const { properties = {} } = z.toJSONSchema(schema, { io: "input" }) as {
      properties?: Record<string, { description?: string; default?: unknown }>;
    };
    for (const [name, property] of Object.entries(properties)) {
      expect(property.description, name).toMatch(/Default/);
      expect(property, name).toHaveProperty("default");
    }
  }
});

test("options given together are sorted by schema, and all others come apart", () => {
  const schemas = { args: sftConfigSchema, weights: modelConfigSchema };
  const sorted = sortOptions(schemas, { load_in_4bit: true, "max-steps": 3 }, "run.yaml");
  expect(sorted.weights).toMatchObject({ loadIn4bit: true, bnb4bitBlocksize: 64 });
  expect(sorted.args).toMatchObject({ maxSteps: 3, seed: 3407 });
  expect(() => sortOptions(schemas, { loadIn4Bit: true }, "run.yaml")).toThrow(
    /^\[run\.yaml\] expected a known option, got "loadIn4Bit"; did you mean "loadIn4bit"\?$/u,
  );
  const own = { onWarning: "optional" } as const;
  const given = { on_warning: 1, maxSteps: 3 };
  const [{ args }, others] = sortOptionsBeside<typeof schemas, { onWarning?: number }>(schemas, own, given, "call");
  expect([args.maxSteps, others]).toEqual([3, { onWarning: 1 }]);
  const twice = { on_warning: 1, onWarning: 2 };
  expect(() => sortOptionsBeside<typeof schemas, { onWarning?: number }>(schemas, own, twice, "call")).toThrow(
    /^\[call\] expected "onWarning" once/u,
  );
});

test("what has to be given is asked for", () => {
  const keys = { model: "required", seed: "optional" } as const;
  const parse = (given: object) =>
    parseKeys<{ model: string; seed?: number }>(keys, given as { model: string }, "call");
  expect(parse({ model: "m" })).toEqual({ model: "m" });
  expect(() => parse({ seed: 1 })).toThrow("[call] expected model, got nothing; give it");
});

/** The parts of the message of what a call throws, one for each problem. */
const problems = (call: () => unknown): string[] => {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return (error as Error).message.split(/; (?=\[)/u).map((part) => part.replace(/ expected.*/u, ""));
  }
  return [];
};

test("all that is wrong is said at once", () => {
  expect(problems(() => parseConfig({ learningrate: 1, maxSteps: "5", zzz: 1, seed: -1 }))).toEqual([
    "[SFTConfig]",
    "[SFTConfig]",
    "[seed]",
    "[maxSteps]",
  ]);
  const schemas = { run: sftConfigSchema, weights: modelConfigSchema };
  const beside: OptionKeys<{ signal?: AbortSignal; cacheDir?: string }> = {
    signal: "optional signal",
    cacheDir: "optional path",
  };
  const given = { torchDtype: "auto", maxSteps: "5", dtype: "int3", signal: 5, cacheDir: "" };
  expect(problems(() => sortOptionsBeside(schemas, beside, given, "open"))).toEqual([
    "[open]",
    "[maxSteps]",
    "[dtype]",
    "[signal]",
    "[cacheDir]",
  ]);
  const several = () =>
    together(
      () => parseConfig({ seed: -1 }),
      () => "fine",
      () => parseLoraConfig({ rank: 1 }),
    );
  expect(problems(several)).toEqual(["[seed]", "[LoraConfig]"]);
  const broken = () =>
    together(
      () => parseConfig({ seed: -1 }),
      () => JSON.parse("{"),
    );
  expect(broken).toThrow(SyntaxError);
});

test("what is no object of options is refused as such", () => {
  const nothing = [undefined, null, 5, "text", [1], () => 1] as unknown as object[];
  for (const given of nothing) {
    expect(problems(() => parseConfig(given))).toEqual(["[SFTConfig]"]);
    expect(problems(() => parseKeys<{ model: object }>({ model: "required" }, given as never, "f"))).toEqual(["[f]"]);
    expect(problems(() => sortOptions({ run: sftConfigSchema }, given, "f"))).toEqual(["[f]"]);
  }
});

test("values of another kind are refused by what they should be, and a tilde is the home folder", () => {
  type Given = { text?: string; path?: string; list?: (() => void)[]; flag?: boolean; call?: () => void; n?: number };
  const keys = {
    text: "optional text",
    path: "optional path",
    list: "optional list",
    flag: "optional flag",
    call: "optional function",
    n: "optional number",
  } as const;
  const wrong = { text: 1, path: "", list: 1, flag: "no", call: {}, n: Number.NaN } as unknown as Given;
  expect(problems(() => parseKeys<Given>(keys, wrong, "f"))).toEqual(Object.keys(keys).map((name) => `[${name}]`));
  expect(parseKeys<Given>(keys, { path: "~/a", text: "~/a" }, "f")).toEqual({
    path: join(homedir(), "a"),
    text: "~/a",
  });
  expect(parseConfig({ output_dir: "~/a" }).outputDir).toBe(join(homedir(), "a"));
  expect(parseLoraConfig({ adapterPath: "~/a" }).adapterPath).toBe(join(homedir(), "a"));
});

test("names inside the entries of a list are spelt as options are, and a function inside is named", () => {
  const stages = [{ maxLength: 256, minTurns: 3 }, { hardShare: 0.5 }];
  expect(parseConfig({ stages: [{ max_length: 256, "min-turns": 3 }, { hard_share: 0.5 }] }).stages).toEqual(stages);
  expect(parseConfig({ stages }).stages).toEqual(stages);
  for (const stage of [{ max_lenght: 256 }, { maxLength: 256, max_length: 256 }, { max_length: 0 }, 256])
    expect(() => parseConfig({ stages: [stage] })).toThrow(/\[stages\] expected a list .* with maxLength, minTurns/u);
  expect(() => parseConfig({ stages: [{ where: () => true }] })).toThrow(/got \[\{"where":"a function"\}\]/u);
});

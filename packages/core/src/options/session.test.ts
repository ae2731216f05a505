import { expect, test } from "vitest";
import { ArgumentError } from "../errors.ts";
import { loraConfigSchema } from "./lora.ts";
import { parseArgument, parseOptions } from "./parse.ts";
import { adapterOptions, engineOptionsSchema, loraOptionsSchema } from "./session.ts";

const adapter = (options: object) => adapterOptions(parseOptions(loraConfigSchema, options));

const session = {
  weights: {},
  adapter: adapter({}),
  optimizer: { type: "sgd", momentum: 0.9 },
  parameterGroups: [{ name: "all", parameters: ["decay", "no_decay"], rate: 1e-3, decay: 0 }],
  gradientCheckpointing: false,
  seed: 1,
};
const refusal = (changed: object) => {
  try {
    parseArgument(engineOptionsSchema, { ...session, ...changed }, "createSession");
  } catch (error) {
    expect(error).toBeInstanceOf(ArgumentError);
    return (error as Error).message;
  }
  return null;
};

test("options of an adapter become a new one, a saved one, or none", () => {
  expect(adapter({ fullFinetuning: true })).toBeNull();
  expect(adapter({ adapterPath: "runs/7/adapter" })).toEqual({ type: "saved", path: "runs/7/adapter" });
  const options = { useDora: true, modulesToSave: "lm_head", layersToTransform: 3 };
  expect(adapter(options)).toMatchObject({
    type: "lora",
    r: 16,
    useDora: true,
    modulesToSave: ["lm_head"],
    layersToTransform: [3],
    layersPattern: null,
  });
  expect(adapter({ loftqConfig: { loftq_iter: 5 } })).toMatchObject({ loftqConfig: { loftqBits: 4, loftqIter: 5 } });
  expect(() => adapter({ loftqConfig: { loftq_iters: 5 } })).toThrow(/loftqConfig/u);
  for (const loftqConfig of [{}, null]) expect(adapter({ loftqConfig })).toMatchObject({ loftqConfig: null });
  expect(Object.keys(adapter({}) ?? {}).sort()).toEqual(Object.keys(loraOptionsSchema.shape).sort());
});

test("the engine's options are filled in", () => {
  expect(parseArgument(engineOptionsSchema, session, "createSession")).toMatchObject({
    weights: { dtype: "auto", loadIn4bit: false, bnb4bitBlocksize: 64, cacheDir: null },
    optimizer: { type: "sgd", momentum: 0.9, dampening: 0, nesterov: false },
  });
});

test("what breaks the schema is named by its place", () => {
  expect(refusal({})).toBeNull();
  const beta = { type: "adamw", beta1: 1, beta2: 0.9, epsilon: 0 };
  expect(refusal({ optimizer: beta })).toBe(
    "[createSession.optimizer.beta1] expected a number of at least 0 and below 1, got 1; correct this argument",
  );
  expect(refusal({ optimizer: { type: "nadam" } })).toMatch(
    /^\[createSession\.optimizer\.type\] expected .*"adamw" or "adamw8bit" or "sgd" or .*, got "nadam"/u,
  );
  expect(refusal({ optimizer: { type: "sgd", momentun: 1 } })).toBe(
    '[createSession.optimizer] expected only type, momentum, dampening, nesterov, got "momentun"; remove it',
  );
  expect(refusal({ adapter: { ...adapter({}), r: 0 } })).toMatch(
    /^\[createSession\.adapter\.r\] expected a whole number/u,
  );
  const group = { name: "all", parameters: ["decays"], rate: 1, decay: 0 };
  expect(refusal({ parameterGroups: [group] })).toMatch(
    /^\[createSession\.parameterGroups\[0\]\.parameters\[0\]\] expected one of "decay",.*got "decays"/u,
  );
  expect(refusal({ adapter: 3 })).toMatch(/^\[createSession\.adapter\] expected an object with .*, got 3/u);
});

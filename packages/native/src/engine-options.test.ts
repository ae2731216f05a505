import {
  adafactorSchema,
  adagradSchema,
  adamwSchema,
  ademamixSchema,
  engineOptionsSchema,
  lionSchema,
  loraOptionsSchema,
  muonSchema,
  optimizerSchemas,
  parameterGroupSchema,
  parameterKinds,
  parseArgument,
  rmspropSchema,
  savedAdapterSchema,
  scheduleFreeSchema,
  sgdSchema,
  weightsSchema,
} from "@tunesmith/core";
import { expect, test } from "vitest";
import { loraSession, tinyModel } from "../test/fixture.ts";
import { nativeAsync } from "./binding.ts";

const model = await nativeAsync((library) => library.openModel(tinyModel, { addTokens: [], addSpecialTokens: [] }));
const whole = parseArgument(engineOptionsSchema, { weights: {}, ...loraSession }, "test");

/** What the engine says to options as they cross, past every check of the package. */
async function refusal(options: object): Promise<string> {
  const opened = nativeAsync(() => model.createSession({ device: "cpu", threads: 1 }, JSON.stringify(options)));
  return opened.then(
    (session) => {
      session.dispose();
      return "nothing";
    },
    ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
  );
}

/** The names that the engine's refusal of an unknown one lists. */
const listed = (message: string) =>
  [...(/expected (.*)/u.exec(message.slice(message.indexOf("unknown")))?.[1] ?? "").matchAll(/`(\w+)`/gu)].map(
    ([, name]) => name,
  );

const [group] = whole.parameterGroups;
const { adapter, optimizer } = whole;
const unknown = { stranger: 1 };
const moments = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
const free = scheduleFreeSchema.parse({ type: "schedulefree", ...moments });
const mixed = ademamixSchema.parse({ type: "ademamix", ...moments });

test("the engine takes the options as the schemas fill them in", async () => {
  expect(await refusal(whole)).toBe("nothing");
});

// The engine's reader lists every field it knows when it meets one that it does not.
test.each([
  ["a session", { ...whole, ...unknown }, engineOptionsSchema],
  ["weights", { ...whole, weights: { ...whole.weights, ...unknown } }, weightsSchema],
  ["a new adapter", { ...whole, adapter: { ...adapter, ...unknown } }, loraOptionsSchema],
  ["a saved adapter", { ...whole, adapter: { type: "saved", path: "x", ...unknown } }, savedAdapterSchema],
  ["adamw", { ...whole, optimizer: { ...optimizer, ...unknown } }, adamwSchema],
  ["sgd", { ...whole, optimizer: { type: "sgd", momentum: 0, dampening: 0, nesterov: false, ...unknown } }, sgdSchema],
  ["lion", { ...whole, optimizer: { type: "lion", beta1: 0.9, beta2: 0.99, ...unknown } }, lionSchema],
  ["schedule-free", { ...whole, optimizer: { ...free, ...unknown } }, scheduleFreeSchema],
  ["rmsprop", { ...whole, optimizer: { ...rmspropSchema.parse({ type: "rmsprop" }), ...unknown } }, rmspropSchema],
  ["adagrad", { ...whole, optimizer: { ...adagradSchema.parse({ type: "adagrad" }), ...unknown } }, adagradSchema],
  ["ademamix", { ...whole, optimizer: { ...mixed, ...unknown } }, ademamixSchema],
  [
    "adafactor",
    { ...whole, optimizer: { ...adafactorSchema.parse({ type: "adafactor" }), ...unknown } },
    adafactorSchema,
  ],
  ["muon", { ...whole, optimizer: { ...muonSchema.parse({ type: "muon", ...moments }), ...unknown } }, muonSchema],
  ["a parameter group", { ...whole, parameterGroups: [{ ...group, ...unknown }] }, parameterGroupSchema],
])("schema and engine have the same fields: %s", async (_, options, schema) => {
  const message = await refusal(options);
  expect(message).toMatch(/^ARGUMENT_INVALID \[session.*stranger/u);
  const fields = Object.keys(schema.shape).filter((name) => name !== "type");
  expect(listed(message).sort()).toEqual(fields.sort());
});

test("the kinds of parameters are the engine's", async () => {
  const message = await refusal({ ...whole, parameterGroups: [{ ...group, parameters: ["head"] }] });
  expect(message).toMatch(/^ARGUMENT_INVALID \[session\.parameterGroups\[0\]\.parameters\[0\]\]/u);
  expect(listed(message)).toEqual(parameterKinds);
});

test.each([
  ["optimizer", optimizerSchemas.map(({ shape }) => shape.type.value).sort()],
  ["adapter", ["lora", "saved"]],
])("schema and engine know the same types: %s", async (key, types) => {
  const message = await refusal({ ...whole, [key]: { type: "stranger" } });
  expect(listed(message).sort()).toEqual(types);
});

test("a group for every tensor, each kind once, names of their own", async () => {
  const grouped = (...groups: object[]) =>
    refusal({ ...whole, parameterGroups: groups.map((g) => ({ ...group, ...g })) });
  expect(await grouped({ parameters: ["decay"] })).toMatch(/ARGUMENT_INVALID .*lora_b/u);
  expect(await grouped({ name: "a", parameters: ["decay", "lora_b"] }, { name: "b", parameters: ["decay"] })).toMatch(
    /ARGUMENT_INVALID .*"decay".*"a".*"b"/u,
  );
  expect(await grouped({ parameters: ["decay"] }, { parameters: ["lora_b"] })).toMatch(/ARGUMENT_INVALID .*name/u);
});

import { expect, test } from "vitest";
import { idleGroups, parameterGroups } from "./parameter-groups.ts";

const args = {
  learningRate: 0.5,
  weightDecay: 0.1,
  loraplusLrRatio: null,
  embeddingLearningRate: null,
  lrGroups: null,
};
const adapter = { fullFinetuning: false };
const rates = (more: Partial<typeof args> | object, peft = adapter) =>
  Object.fromEntries(parameterGroups({ ...args, ...more }, peft).map(({ name, rate }) => [name, rate]));

test("without further options every group learns at the run's rate; norms and biases do not decay", () => {
  expect(parameterGroups(args, adapter)).toEqual([
    { name: "decay", parameters: ["decay"], rate: 0.5, decay: 0.1 },
    { name: "no_decay", parameters: ["no_decay"], rate: 0.5, decay: 0 },
    { name: "embedding", parameters: ["embedding"], rate: 0.5, decay: 0.1 },
    { name: "lora_b", parameters: ["lora_b"], rate: 0.5, decay: 0.1 },
  ]);
});

test("an adapter learns ten times faster than the whole model where no rate is given", () => {
  expect(rates({ learningRate: null }).decay).toBe(2e-4);
  expect(rates({ learningRate: null }, { fullFinetuning: true }).decay).toBe(2e-5);
});

test("LoRA+ moves B and one-dimensional tensors, the embedding has its own rate", () => {
  const given = { loraplusLrRatio: 16, embeddingLearningRate: 0.25 };
  expect(rates(given)).toEqual({ decay: 0.5, no_decay: 8, embedding: 0.25, lora_b: 8 });
});

test("LoRA+ is about adapters: full fine-tuning learns at one rate", () => {
  const full = rates({ loraplusLrRatio: 16 }, { fullFinetuning: true });
  expect(full).toEqual({ decay: 0.5, no_decay: 0.5, embedding: 0.5, lora_b: 0.5 });
});

test("tensors found by an expression come first, with a rate and a decay of their own; norms stay without decay", () => {
  const lrGroups = [
    { pattern: "q_proj", learningRate: 0.25 },
    { pattern: "layers\\.0\\.", weightDecay: 0.5, name: "first" },
  ];
  const groups = parameterGroups({ ...args, lrGroups, loraplusLrRatio: 4 }, adapter);
  const all = { pattern: "q_proj", rate: 0.25 };
  expect(groups.slice(0, 4)).toEqual([
    { name: "1: q_proj", parameters: ["decay", "embedding", "lora_b"], ...all, decay: 0.1 },
    { name: "1: q_proj no_decay", parameters: ["no_decay"], ...all, decay: 0 },
    { name: "2: first", parameters: ["decay", "embedding"], pattern: "layers\\.0\\.", rate: 0.5, decay: 0.5 },
    { name: "2: first no_decay", parameters: ["no_decay", "lora_b"], pattern: "layers\\.0\\.", rate: 2, decay: 0.5 },
  ]);
  expect(groups).toHaveLength(8);
});

test("a group of whose tensors none is left, and a last one that changes nothing, are told", () => {
  const found = (lrGroups: Parameters<typeof idleGroups>[0]["lrGroups"], ...counts: number[]) => {
    const groups = parameterGroups({ ...args, lrGroups }, adapter);
    const info = groups.map(({ name, rate, decay }, n) => ({ name, rate, decay, parameters: counts[n] ?? 0 }));
    return idleGroups({ lrGroups }, { parameterGroups: info });
  };
  const first = { pattern: "q_proj", learningRate: 0.25 };
  const second = { pattern: "layers", learningRate: 0.125 };
  // Either group is two: norms stay without decay.
  expect(found([first, second], 0, 8, 8)).toEqual([]);
  expect(found([first, second], 8, 8)).toEqual([
    'lrGroups[1] with the pattern "layers" has no effect: groups before it have every tensor that it finds',
  ]);
  expect(found([{ pattern: "q_proj" }, second], 8, 0, 8)).toEqual([]);
  expect(found([first, { pattern: "layers" }], 8, 0, 8)).toEqual([
    'lrGroups[1] with the pattern "layers" has no effect: it has neither learningRate nor weightDecay, and no group comes after it',
  ]);
});

import { expect, test } from "vitest";
import { parameterGroups } from "./parameter-groups.ts";

const args = { learningRate: 0.5, weightDecay: 0.1, loraplusLrRatio: null, embeddingLearningRate: null };
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

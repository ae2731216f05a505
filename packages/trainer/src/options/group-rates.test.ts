// The learning rate of each group.
import { expect, test } from "vitest";
import { groupRates } from "./group-rates.ts";

const groups = ["decay", "no_decay", "embedding", "lora_b"].map((name) => ({ name }));
const adapter = { parameterGroups: groups, adapterModules: ["q_proj"] };

test("without further options every group learns at the run's rate", () => {
  const rates = groupRates(adapter, 0.5, { loraplusLrRatio: null, embeddingLearningRate: null });
  expect([...rates]).toEqual([0.5, 0.5, 0.5, 0.5]);
});

test("LoRA+ moves B and one-dimensional tensors, the embedding has its own rate", () => {
  const rates = groupRates(adapter, 0.5, { loraplusLrRatio: 16, embeddingLearningRate: 0.25 });
  expect([...rates]).toEqual([0.5, 8, 0.25, 8]);
});

test("LoRA+ is about adapters: full fine-tuning learns at one rate", () => {
  const full = { parameterGroups: groups, adapterModules: null };
  expect([...groupRates(full, 0.5, { loraplusLrRatio: 16, embeddingLearningRate: null })]).toEqual([
    0.5, 0.5, 0.5, 0.5,
  ]);
});

// What an adapter begins with, and biases: what was trained is what is saved, read again and merged.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FastLanguageModel, type LoraConfig, SFTTrainer } from "../../packages/cli/src/index.ts";
import { conversations } from "../support/rows.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const cases: [name: string, family: string, config: LoraConfig][] = [
  ["gaussian", "llama", { initLoraWeights: "gaussian" }],
  ["orthogonal", "llama", { initLoraWeights: "orthogonal" }],
  ["pissa", "llama", { initLoraWeights: "pissa" }],
  ["pissa_niter_4", "qwen2", { initLoraWeights: "pissa_niter_4", useRslora: true }],
  ["olora", "llama", { initLoraWeights: "olora" }],
  ["loftq", "llama", { initLoraWeights: "loftq", loftqConfig: { loftqIter: 2 }, loraAlpha: 4 }],
  ["tokens", "llama", { trainableTokenIndices: [5, 6, 40] }],
  ["tokens of a tied head", "qwen2", { trainableTokenIndices: [5, 6, 40] }],
  ["tokens of each", "qwen2", { trainableTokenIndices: { embed_tokens: [5, 40], lm_head: [7, 8, 9] } }],
  ["experts", "qwen3_moe", { targetParameters: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"] }],
  ["experts alone", "qwen3_moe", { targetModules: [], targetParameters: ["mlp.experts.down_proj"] }],
  ["bias all", "qwen2", { bias: "all" }],
  ["bias lora_only", "qwen2", { bias: "lora_only" }],
  ["loraBias", "qwen2", { loraBias: true, targetModules: ["q_proj", "v_proj"] }],
];

async function answer(model: FastLanguageModel): Promise<string> {
  let text = "";
  for await (const piece of model.generate("The river", { maxNewTokens: 16 })) text += piece;
  return text;
}

test.each(cases)("%s: trained, saved, opened again and merged it answers the same", async (_, family, config) => {
  const folder = temporaryFolder();
  const base = smallModel(family);
  const open = (path: string, adapter?: string) =>
    FastLanguageModel.fromPretrained(path, { device: "cpu", ...(adapter !== undefined && { adapter }) });
  const model = (await open(base)).getPeftModel({ r: 4, ...config });
  const args = { outputDir: join(folder, "run"), maxSteps: 6, saveSteps: 3, learningRate: 1e-2 };
  const trainer = new SFTTrainer({ model, trainDataset: conversations(12), args });
  const { adapterDir, lossHash } = await trainer.train();
  const trained = await answer(model);
  expect(trained).not.toBe(await answer(await open(base)));
  expect(await answer(await open(base, adapterDir))).toBe(trained);
  const converted = join(adapterDir, "converted");
  const isDecomposed = ["pissa", "pissa_niter_4", "olora"].includes(String(config.initLoraWeights));
  expect(existsSync(converted)).toBe(isDecomposed);
  if (isDecomposed) expect(await answer(await open(base, converted))).toBe(trained);
  await model.savePretrainedMerged(join(folder, "merged"), { saveMethod: "merged_32bit" });
  expect(await answer(await open(join(folder, "merged")))).toBe(trained);
  const again = await trainer.train({ resumeFromCheckpoint: join(args.outputDir, "checkpoint-3") });
  expect(again.lossHash).toBe(lossHash);
});

test("a bias of B is refused where it would be merged into a layer that has none", async () => {
  const folder = temporaryFolder();
  const model = (await FastLanguageModel.fromPretrained(smallModel("llama"))).getPeftModel({ r: 2, loraBias: true });
  const args = { outputDir: join(folder, "run"), maxSteps: 1 };
  await new SFTTrainer({ model, trainDataset: conversations(4), args }).train();
  await expect(model.savePretrainedMerged(join(folder, "merged"))).rejects.toThrow(
    /expected a layer with a bias to merge that of lora_B into, got one without; use the adapter unmerged/u,
  );
  expect(existsSync(join(folder, "merged"))).toBe(false);
});

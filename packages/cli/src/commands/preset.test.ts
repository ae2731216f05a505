import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { tunesmith } from "../testing/tunesmith.ts";

const tiny = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let [folder, data] = ["", ""];

beforeEach(async () => {
  folder = await scratchFolder(onTestFinished);
  data = join(folder, "rows.jsonl");
  await writeFile(data, `${JSON.stringify({ prompt: "one", completion: "two" })}\n`.repeat(4));
});

test("--preset says where each value comes from, and what was given in place of one", async () => {
  const argv = ["train", "--model", tiny, "--data", data, "--preset", "qlora8b", "--dry-run"];
  const { code, out, err } = await tunesmith([...argv, "--r", "8", "--num-train-epochs", "1"]);
  expect(code).toBe(0);
  expect(err).toMatch(/^preset {3}qlora8b: QLoRA as its paper trains/mu);
  expect(err).toMatch(/^ +loadIn4bit true +QLoRA \(arXiv:2305\.14314\), appendix B$/mu);
  expect(err).toMatch(/^ +r 8 +given, in place of r 64 of QLoRA/mu);
  expect(err).toMatch(/^ +numTrainEpochs 1 +given, in place of numTrainEpochs 3 of QLoRA/mu);
  expect(err).toMatch(/^ +trainSamplingStrategy group_by_length +QLoRA/mu);
  const { options } = parse(out.slice(out.indexOf("options:")));
  expect(options).toMatchObject({
    ...{ preset: "qlora8b", loadIn4bit: true, r: 8, loraAlpha: 16, numTrainEpochs: 1, maxGradNorm: 0.3 },
    ...{ gradientAccumulationSteps: 16, trainSamplingStrategy: "group_by_length" },
  });
});

test("a preset in a configuration file is one, estimates and shown rows too, and trl's command has its own defaults", async () => {
  const config = join(folder, "run.yaml");
  await writeFile(config, `model: ${tiny}\ndata: ${data}\npreset: instructGptSft\noutputDir: ${join(folder, "run")}\n`);
  const { code, out } = await tunesmith(["train", "--config", config, "--max-steps", "1", "--threads", "1"]);
  expect(code).toBe(0);
  expect(out).toMatch(/^ +residPdrop 0\.2 +InstructGPT \(arXiv:2203\.02155\), appendix C\.1$/mu);
  expect(out).toMatch(/^ +maxSteps 1 +given, in place of numTrainEpochs 16 of InstructGPT/mu);
  const all = await tunesmith(["estimate", tiny, "--preset", "trlSft"]);
  expect(all.out).toMatch(/^ +fullFinetuning true +TRL 1\.16 trl sft without --use_peft$/mu);
  const adapter = await tunesmith(["estimate", tiny, "--json", "--preset", "trlSft", "--full-finetuning", "false"]);
  const whole = await tunesmith(["estimate", tiny, "--json", "--preset", "trlSft"]);
  expect(JSON.parse(whole.out).plan.trained).toBeGreaterThan(JSON.parse(adapter.out).plan.trained);
  const rows = await tunesmith(["inspect", "data", data, "--model", tiny, "--preset", "trlSft"]);
  expect(rows.code).toBe(0);
  const refused = await tunesmith(["sft", "--model", tiny, "--data", data, "--preset", "trlSft"]);
  expect(refused.err).toContain("[--preset] expected none, since tunesmith sft has the defaults of trl sft");
  const wrong = await tunesmith(["train", "--model", tiny, "--data", data, "--preset", "qlora"]);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining("--preset")]);
});

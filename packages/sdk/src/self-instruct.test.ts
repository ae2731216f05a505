import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { similarity } from "@tunesmith/native";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { recordedGenerator } from "../../synth/src/testing/recorded.ts";
import { ownSeeds } from "../../synth/src/testing/run.ts";
import { FastLanguageModel, type SelfInstructOptions, SFTTrainer, selfInstruct } from "./index.ts";

const tiny = fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url));

/** Runs to the end; gives the instructions that were kept, and the report. */
async function made(options: Partial<SelfInstructOptions>) {
  const instructions: string[] = [];
  const similar: string[] = [];
  for await (const event of selfInstruct({ seeds: ownSeeds, generate: recordedGenerator, ...options })) {
    if (event.type === "instruction") instructions.push(event.instruction);
    if (event.type === "dropped" && event.filter === "similar") similar.push(event.text);
    if (event.type === "done") return { instructions, similar, report: event.report };
  }
  throw new Error("expected a report");
}

test("no two instructions of the pool are alike, by the ROUGE-L of the engine, and those dropped are like one of it", async () => {
  const { instructions, similar } = await made({ numInstructions: 40, maxIdleRequests: 60 });
  const pool = [...ownSeeds.map(({ instruction }) => instruction), ...instructions];
  expect(instructions).toHaveLength(40);
  const scores = async (candidate: string, others: readonly string[]) =>
    similarity.rougeL(others.map((target) => ({ target, prediction: candidate })));
  for (const [n, instruction] of instructions.entries()) {
    const before = pool.slice(0, ownSeeds.length + n);
    expect(Math.max(...(await scores(instruction, before)))).toBeLessThanOrEqual(0.7);
  }
  expect(similar).toContain("Pick out every verb from a sentence.");
  for (const candidate of new Set(similar)) expect(Math.max(...(await scores(candidate, pool)))).toBeGreaterThan(0.7);
});

test("a model writes as it answers, and the rows train as they are", async () => {
  const folder = await scratchFolder(onTestFinished);
  const output = join(folder, "rows.jsonl");
  // Longer prompts than this model was made for.
  const wide = join(folder, "model");
  await cp(tiny, wide, { recursive: true });
  const config = JSON.parse(await readFile(join(tiny, "config.json"), "utf8")) as object;
  await writeFile(join(wide, "config.json"), JSON.stringify({ ...config, max_position_embeddings: 8192 }));
  await using model = await FastLanguageModel.fromPretrained(wide);
  const few = {
    numInstructions: 3,
    maxRequests: 2,
    requestsPerBatch: 2,
    maxInstructionTokens: 12,
    maxInstanceTokens: 12,
  };
  const run = { generate: model, output, ...few, withoutFilters: ["all" as const] };
  const first = await made(run);
  expect(first.instructions.length).toBeGreaterThan(0);
  // From the journal: the same, without the model.
  expect(await made(run)).toEqual(first);
  // Weights that are held otherwise write otherwise.
  await using narrow = await FastLanguageModel.fromPretrained(wide, { dtype: "bfloat16" });
  await expect(made({ ...run, generate: narrow })).rejects.toThrow(/generator .*, got .*model dtype bfloat16/u);
  const other = { ...run, output: join(folder, "other.jsonl") };
  expect((await made(other)).instructions).toEqual(first.instructions);
  const trainer = new SFTTrainer({
    model: model.getPeftModel({ r: 4 }),
    trainDataset: output,
    args: { outputDir: join(folder, "run"), maxSteps: 2, perDeviceTrainBatchSize: 2 },
  });
  for await (const event of trainer.train()) if (event.type === "done") expect(event.result.globalStep).toBe(2);
  const rows = (await readFile(output, "utf8")).trimEnd().split("\n");
  expect(rows).toHaveLength(first.report.rows.generated + first.report.rows.seeds);
});

import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { parse } from "yaml";
import { tunesmith } from "../testing/tunesmith.ts";

vi.setConfig({ testTimeout: 60_000 });

const root = fileURLToPath(new URL("../../../..", import.meta.url));
const model = join(root, "test/fixtures/models/llama");

let folder: string;
let pairs: string;
let run: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-dpo-"));
  [pairs, run] = [join(folder, "pairs.jsonl"), join(folder, "run")];
  const rows = Array.from({ length: 6 }, (_, n) => ({
    prompt: `say ${n}`,
    chosen: ` yes ${n} well`,
    rejected: " no not now",
  }));
  await writeFile(pairs, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterEach(() => rm(folder, { recursive: true }));

const dpo = (...more: string[]) => {
  const base = ["dpo", "--model", model, "--data", pairs, "--output-dir", run];
  const steps = ["--max-steps", "3", "--per-device-train-batch-size", "2", "--learning-rate", "1e-2"];
  return tunesmith([...base, ...steps, "--warmup-steps", "0", ...more]);
};

const configOf = async (path: string) => parse(await readFile(join(path, "config.resolved.yaml"), "utf8"));

test("trains on pairs, shows what is right of them, and says whose run it is", async () => {
  const { code, out, err } = await dpo("--eval-data", pairs, "--eval-on-start", "--beta", "0.5");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/^eval at step 0 {2}loss 0\.6931 {2}pairs right 0\.0 % {2}margin 0$/mu);
  expect(out).toMatch(/^eval at step 3 {2}loss \S+ {2}pairs right 100\.0 % {2}margin \S+ {2}best so far$/mu);
  expect(out).toMatch(/^step 3\/3 {2}epoch 1\.00 {2}loss \S+ {2}pairs right \S+ % {2}margin \S+ {2}lr /mu);
  expect(out).toMatch(/^eval {3}loss 0\.6931 before → \S+ after, pairs right 100\.0 % {2}margin /mu);
  // What is usual is known of answers alone, and no mean over tokens has been measured.
  expect(out).not.toMatch(/^usual|perplexity/mu);
  expect(await configOf(run)).toMatchObject({ trainer: "dpo", beta: 0.5, data: pairs, evalData: pairs, maxSteps: 3 });
  const again = await tunesmith(["dpo", "--config", join(run, "config.resolved.yaml"), "--dry-run"]);
  expect({ code: again.code, beta: parse(again.out).options.beta }).toEqual({ code: 0, beta: 0.5 });
});

test("a resumed run ends with the bytes of the run that was not stopped, and takes options of its own trainer", async () => {
  expect((await dpo("--save-steps", "2", "--loss-type", "sigmoid", "sft")).code).toBe(0);
  const stopped = join(folder, "stopped");
  await cp(run, stopped, { recursive: true });
  for (const gone of ["adapter", "checkpoint-3", "report.json", "report.html"])
    await rm(join(stopped, gone), { recursive: true });
  expect(await readdir(stopped)).toContain("checkpoint-2");
  const wrong = await tunesmith(["resume", stopped, "--packing"]);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('got "packing"')]);
  const changed = await tunesmith(["resume", stopped, "--seed", "1"]);
  expect([changed.code, changed.err]).toEqual([1, expect.stringContaining("seed (was 3407, is 1)")]);
  const beta = await tunesmith(["resume", stopped, "--beta", "0.3", "--loss-type", "hinge"]);
  expect([beta.code, beta.err]).toEqual([1, expect.stringContaining("beta (was 0.1, is 0.3)")]);
  expect(beta.err).toContain('lossType (was ["sigmoid","sft"], is ["hinge"])');
  expect((await tunesmith(["resume", stopped])).code).toBe(0);
  const files = ["adapter/adapter_model.safetensors", "checkpoint-3/optimizer.safetensors", "metrics.jsonl"];
  for (const file of files)
    expect((await readFile(join(stopped, file))).equals(await readFile(join(run, file))), file).toBe(true);
  const more = await tunesmith(["resume", stopped, "--max-steps", "4"]);
  expect([more.code, more.out]).toEqual([0, expect.stringMatching(/phase 2 of this run: 1 step after step 3/u)]);
});

test("log-probabilities by the reference are computed once, and a run after it says that it knows them", async () => {
  vi.stubEnv("HF_DATASETS_CACHE", join(folder, "cache"));
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const first = await dpo("--precompute_ref_log_probs", "--full-finetuning", "--eval-data", pairs);
  expect([first.code, first.err]).toEqual([0, ""]);
  expect(first.out).toMatch(/^reference {2}6 training rows, computed before the first step$/mu);
  const known = await dpo(
    "--precompute-ref-log-probs",
    "--output-dir",
    join(folder, "again"),
    "--full-finetuning",
    "--eval-data",
    pairs,
  );
  expect(known.out).toMatch(/^reference {2}6 evaluation rows, known from an earlier run$/mu);
});

test("chat, eval, merge and export take its folder", async () => {
  expect((await dpo()).code).toBe(0);
  const said = await tunesmith(["chat", run, "--prompt", "say 1", "--max-new-tokens", "3"]);
  expect([said.code, said.err]).toEqual([0, ""]);
  const rows = join(folder, "rows.jsonl");
  await writeFile(rows, `${JSON.stringify({ prompt: "say 1", completion: " yes 1 well" })}\n`.repeat(3));
  expect(await tunesmith(["eval", run, "--data", rows, "--max-new-tokens", "2"])).toMatchObject({
    code: 0,
    out: expect.stringContaining("loss"),
  });
  expect((await tunesmith(["merge", run, "--output", join(folder, "merged")])).code).toBe(0);
  const gguf = join(folder, "model.gguf");
  expect((await tunesmith(["export", "gguf", run, "--output", gguf, "--quantization", "f16"])).code).toBe(0);
  const checked = await tunesmith(["export", "--check", "vllm", run]);
  expect(checked).toEqual(await tunesmith(["export", "--check", "vllm", join(run, "adapter")]));
  expect((await tunesmith(["export", "card", run])).code).toBe(0);
  const card = await readFile(join(run, "README.md"), "utf8");
  expect(card).toMatch(/^tags: \[tunesmith, dpo, lora\]$/mu);
  expect(card).toContain("by direct preference optimization");
  for (const row of ["| `beta` | 0.1 |", "| `lossType` | sigmoid |"]) expect(card).toContain(row);
});

test("flags have TRL's names, lists of losses and of their weights too, and a dry run makes nothing", async () => {
  const argv = ["dpo", "--model_name_or_path", model, "--dataset_name", pairs, "--lora_r", "4", "--output_dir", run];
  const losses = ["--loss_type", "sigmoid", "bco_pair", "--loss_weights", "1", "0.5", "--ld_alpha", "None"];
  const { code, out } = await tunesmith([...argv, ...losses, "--dry-run"]);
  expect(code).toBe(0);
  expect(parse(out)).toMatchObject({
    options: { r: 4, lossType: ["sigmoid", "bco_pair"], lossWeights: [1, 0.5], ldAlpha: null, learningRate: 1e-6 },
    data: { rows: 6, kept: 6, format: "preference" },
    memory: { pass: { twoPhases: true } },
    totalSteps: 3,
  });
  expect(await readdir(folder)).toEqual(["pairs.jsonl"]);
});

/** A command line as it is written in a document, its model and data set exchanged for small ones. */
function asWritten(command: string, rows: string): string[] {
  const words = command.replaceAll("\\\n", " ").trim().split(/\s+/u);
  const exchange: Record<string, string> = {
    "--model_name_or_path": model,
    "--dataset_name": rows,
    "--output_dir": run,
    "--max_steps": "2",
    "--eval_steps": "1",
  };
  return words.map((word, n) => exchange[words[n - 1] ?? ""] ?? word);
}

/** A folder of rows with a train and a test split. */
async function splits(): Promise<string> {
  const rows = join(folder, "rows");
  await mkdir(rows);
  await cp(pairs, join(rows, "train.jsonl"));
  await writeFile(join(rows, "test.jsonl"), (await readFile(pairs, "utf8")).split("\n").slice(0, 3).join("\n"));
  return rows;
}

test("TRL's command for LoRA runs as it stands (trl/scripts/dpo.py of TRL 1.16, LoRA)", async () => {
  const rows = await splits();
  const argv = asWritten(
    `--dataset_name trl-lib/ultrafeedback_binarized \
    --model_name_or_path Qwen/Qwen2-0.5B-Instruct \
    --learning_rate 5.0e-6 \
    --num_train_epochs 1 \
    --per_device_train_batch_size 2 \
    --max_steps 1000 \
    --gradient_accumulation_steps 8 \
    --eval_strategy steps \
    --eval_steps 50 \
    --output_dir Qwen2-0.5B-DPO \
    --no_remove_unused_columns \
    --use_peft \
    --lora_r 32 \
    --lora_alpha 16`,
    rows,
  );
  const { code, out } = await tunesmith(["dpo", ...argv]);
  expect(code).toBe(0);
  expect(out).not.toContain("--use_peft false");
  expect(await configOf(run)).toMatchObject({
    ...{ trainer: "dpo", fullFinetuning: false, r: 32, loraAlpha: 16, loraDropout: 0, learningRate: 5e-6 },
    ...{ data: join(rows, "train.jsonl"), evalData: join(rows, "test.jsonl"), gradientAccumulationSteps: 8 },
  });
  expect(JSON.parse(await readFile(join(run, "report.json"), "utf8"))).toMatchObject({
    ...{ steps: 2, data: { rows: 6 }, evalData: { rows: 3 } },
  });
});

test("TRL's shortest command and file run as they stand (docs/source/clis.md, Basic Usage), and say that an adapter is trained", async () => {
  const rows = await splits();
  const argv = asWritten("--model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name anthropic/hh-rlhf", rows);
  const more = ["--output_dir", run, "--max_steps", "1"];
  const adapter = await tunesmith(["dpo", ...argv, ...more]);
  expect([adapter.code, adapter.err]).toEqual([0, ""]);
  expect(adapter.out).toMatch(/^adapter {2}a new one is trained; trl dpo trains every weight without --use_peft/mu);
  await rm(run, { recursive: true });
  const file = join(folder, "dpo_config.yaml");
  await writeFile(
    file,
    `# dpo_config.yaml\nmodel_name_or_path: ${model}\ndataset_name: ${rows}\nuse_peft: "false"\nbeta: "0.2"\n`,
  );
  const whole = await tunesmith(["dpo", "--config", file, ...more]);
  expect([whole.code, whole.err, whole.out]).toEqual([0, "", expect.not.stringContaining("trl dpo")]);
  expect(await configOf(run)).toMatchObject({ fullFinetuning: true, beta: 0.2, data: join(rows, "train.jsonl") });
  expect(await readdir(join(run, "adapter"))).toContain("model.safetensors");
  const again = await tunesmith(["dpo", "--config", join(run, "config.resolved.yaml"), "--dry-run"]);
  expect(parse(again.out).options).toMatchObject({ fullFinetuning: true, beta: 0.2 });
});

test("what excludes each other, or has no effect, is said", async () => {
  expect(await dpo("--use_peft", "--full-finetuning")).toMatchObject({
    code: 2,
    err: expect.stringContaining("[usePeft] expected either an adapter or every weight"),
  });
  const adapter = await dpo("--use_peft", "--dry-run");
  expect(parse(adapter.out).options).toMatchObject({ r: 16, loraAlpha: 32, fullFinetuning: false });
  const unused = await dpo("--use_peft", "false", "--lora_r", "4", "--dataset_test_split", "held", "--dry-run");
  expect(unused.code).toBe(0);
  expect(unused.err).toContain("without --use_peft no adapter is trained, and not used are: r");
  expect(unused.err).toContain('datasetTestSplit "held" has no effect: nothing is evaluated on a split');
  expect(await dpo("--num_processes", "4")).toMatchObject({ code: 2, err: expect.stringContaining("num") });
  expect(await dpo("--dataset_train_split", "other")).toMatchObject({ code: 1, err: expect.stringContaining("other") });
});

test("a file holds options as flags do, and one of another trainer's run is refused with its command", async () => {
  const config = join(folder, "dpo.yaml");
  await writeFile(
    config,
    `model: ${model}\ndata: ${pairs}\nloss_type: [hinge, sft]\nloss_weights: [1, 0.1]\nlora_r: 2\n`,
  );
  const { out } = await tunesmith(["dpo", "--config", config, "--lora_r", "8", "--dry-run"]);
  expect(parse(out).options).toMatchObject({ lossType: ["hinge", "sft"], lossWeights: [1, 0.1], r: 8 });
  await writeFile(config, `trainer: dpo\nmodel: ${model}\ndata: ${pairs}\n`);
  const refused = await tunesmith(["train", "--config", config]);
  expect([refused.code, refused.err]).toEqual([
    2,
    expect.stringContaining(
      'expected options of tunesmith train, got those of trainer "dpo"; give the file to tunesmith dpo',
    ),
  ]);
  await writeFile(config, `model: ${model}\ndata: ${pairs}\npacking: true\n`);
  expect(await tunesmith(["dpo", "--config", config])).toMatchObject({
    code: 2,
    err: expect.stringContaining('expected a known option, got "packing"'),
  });
});

test("rows without two answers exit with 3, options that exclude each other with 2, and nothing is made", async () => {
  await writeFile(pairs, `${JSON.stringify({ prompt: "a", completion: "b" })}\n`);
  expect(await dpo()).toMatchObject({
    code: 3,
    err: expect.stringMatching(/pairs\.jsonl:1: expected rows for preference optimization/u),
  });
  expect(await dpo("--full-finetuning", "--adapter-path", run)).toMatchObject({
    code: 2,
    err: expect.stringContaining("[adapterPath] expected no adapter with fullFinetuning"),
  });
  expect(await readdir(folder)).toEqual(["pairs.jsonl"]);
});

test("empty answers, answers that are equal and prompts that fill maxLength are counted and said, or one error with its place", async () => {
  const rows = [
    { prompt: "say 1", chosen: " yes", rejected: " no" },
    { prompt: "say 2", chosen: "", rejected: "" },
    { prompt: "say 3 ".repeat(40), chosen: " yes", rejected: " no" },
    { prompt: "say 4", chosen: "", rejected: " no" },
  ];
  await writeFile(pairs, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  expect(await dpo()).toMatchObject({
    code: 3,
    err: expect.stringMatching(/pairs\.jsonl:2: expected two answers to compare, got the same/u),
  });
  const skipped = await dpo("--on-bad-row", "skip", "--max-length", "32", "--dry-run");
  expect(skipped.code).toBe(0);
  const { data, warnings } = parse(skipped.out);
  expect(data).toMatchObject({ rows: 3, skipped: { count: 1 }, dropped: [{ line: 3 }] });
  expect(warnings.join("\n")).toMatch(/1 of 3 rows .*the prompt fills maxLength 32/u);
  // Of an answer without a word its end of sequence is left, which is what it says.
  expect(data.kept).toBe(2);
});

test("a reference that does not fit the model is one error, before a step", async () => {
  expect((await dpo()).code).toBe(0);
  const other = join(root, "test/fixtures/models/qwen2");
  const argv = ["dpo", "--model", other, "--data", pairs, "--output-dir", join(folder, "other"), "--max-steps", "1"];
  for (const more of [[], ["--precompute-ref-log-probs"]]) {
    const { code, err } = await tunesmith([...argv, "--adapter-path", join(run, "adapter"), ...more]);
    expect(code, err).toBeGreaterThan(0);
    expect(err).toMatch(/Error: \[.*adapter/u);
    expect(err.trim().split("\n")).toHaveLength(1);
  }
  const gone = await tunesmith([...argv, "--adapter-path", join(folder, "nowhere")]);
  expect([gone.code, gone.err]).toEqual([expect.any(Number), expect.stringContaining("nowhere")]);
});

test("with --json an event is a line, with the numbers of pairs", async () => {
  const { out } = await dpo("--json", "--eval-data", pairs);
  const events = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  const logs = events.filter(({ type }) => type === "log");
  expect(logs).toHaveLength(3);
  expect(logs[0]).toMatchObject({ "rewards/margins": 0, "rewards/accuracies": 0 });
  expect(logs[2]["rewards/margins"]).toBeGreaterThan(0);
  expect(events.find(({ type }) => type === "eval")).toMatchObject({ "evalRewards/accuracies": 1 });
  expect(events.at(-1)).toMatchObject({ type: "done" });
});

test("the commands of docs/dpo.md run as they stand", async () => {
  const text = await readFile(join(root, "docs/dpo.md"), "utf8");
  const [, block = ""] = /^```sh\n(.*?)^```/msu.exec(text) ?? [];
  const exchange: Readonly<Record<string, string>> = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": model,
    "pairs.jsonl": pairs,
    "held-out.jsonl": pairs,
    "runs/pairs": run,
  };
  const commands = block.trim().split("\n");
  expect(commands.map((line) => line.split(" ")[2])).toEqual(["dpo", "resume", "chat"]);
  for (const line of commands) {
    const argv = line.split(" ").slice(2);
    expect(await tunesmith(argv.map((word) => exchange[word] ?? word)), line).toMatchObject({ code: 0 });
  }
});

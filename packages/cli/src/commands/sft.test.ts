import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { tunesmith } from "../testing/tunesmith.ts";

vi.setConfig({ testTimeout: 60_000 });

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));

let folder: string;
let rows: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-sft-"));
  rows = join(folder, "rows");
  await mkdir(rows);
  await write("train.jsonl", 12);
  await write("test.jsonl", 4);
});
afterEach(() => rm(folder, { recursive: true }));

async function write(name: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => `${JSON.stringify({ text: `row ${i} of ${name} is here` })}\n`);
  await writeFile(join(rows, name), lines.join(""));
}

/** A command line as it is written in a document, its model and data set exchanged for small ones. */
function asWritten(command: string): string[] {
  const words = command
    .replaceAll("\\\n", " ")
    .trim()
    .split(/\s+/u)
    .map((word) => word.replaceAll("'", ""));
  const exchange: Record<string, string> = { "--model_name_or_path": model, "--dataset_name": rows };
  const argv = words.map((word, n) => exchange[words[n - 1] ?? ""] ?? word);
  const output = argv.indexOf("--output_dir");
  if (output >= 0) argv[output + 1] = join(folder, argv[output + 1] ?? "");
  return argv.slice(1);
}

/** The options that a command comes to, without training. */
async function dryRun(argv: string[]) {
  const { code, out, err } = await tunesmith([...argv, "--dry-run"]);
  expect({ code, err }).toEqual({ code: 0, err: expect.anything() });
  return parse(out.slice(out.indexOf("options:")));
}

test("the first command of TRL's documentation runs as it stands (docs/source/clis.md, Basic Usage)", async () => {
  const argv = asWritten(`trl sft \\
  --model_name_or_path Qwen/Qwen2.5-0.5B \\
  --dataset_name stanfordnlp/imdb`);
  const { options } = await dryRun(argv);
  expect(options).toMatchObject({
    fullFinetuning: true,
    data: join(rows, "train.jsonl"),
    evalData: null,
    learningRate: 2e-5,
    assistantOnlyLoss: false,
    gradientCheckpointing: true,
    evalStrategy: "no",
    dtype: "float32",
    // TRL's 1024, cut to the context of the small model.
    maxLength: 256,
    numTrainEpochs: 3,
    perDeviceTrainBatchSize: 8,
  });
  const { code } = await tunesmith([...argv, "--output_dir", join(folder, "out"), "--max_steps", "1"]);
  expect(code).toBe(0);
  expect(JSON.parse(await readFile(join(folder, "out", "report.json"), "utf8"))).toMatchObject({ steps: 1 });
});

test("TRL's command for QLoRA runs as it stands (docs/source/peft_integration.md, QLoRA, Command Line)", async () => {
  const argv = asWritten(`sft \\
    --model_name_or_path meta-llama/Llama-2-7b-hf \\
    --dataset_name trl-lib/Capybara \\
    --load_in_4bit \\
    --use_peft \\
    --lora_r 32 \\
    --lora_alpha 16 \\
    --per_device_train_batch_size 1 \\
    --gradient_accumulation_steps 16 \\
    --output_dir Llama-2-7b-QLoRA`);
  expect((await dryRun(["sft", ...argv])).options).toMatchObject({
    loadIn4bit: true,
    bnb4bitUseDoubleQuant: false,
    fullFinetuning: false,
    r: 32,
    loraAlpha: 16,
    loraDropout: 0.05,
    perDeviceTrainBatchSize: 1,
    gradientAccumulationSteps: 16,
    // The one default of an adapter that is not TRL's.
    learningRate: 2e-4,
  });
  expect((await tunesmith(["sft", ...argv, "--max_steps", "1"])).code).toBe(0);
});

test("TRL's configuration file runs as it stands (examples/cli_configs/example_config.yaml)", async () => {
  const yaml = join(folder, "config.yaml");
  await writeFile(
    yaml,
    `# This is an example configuration file of TRL CLI
# env:
#   CUDA_VISIBLE_DEVICES: 0

model_name_or_path:
  ${model}
dataset_name:
  ${rows}
report_to:
  none
learning_rate:
  0.0001
lr_scheduler_type:
  cosine
`,
  );
  const argv = ["sft", "--config", yaml, "--output_dir", join(folder, "test-sft")];
  expect((await dryRun(argv)).options).toMatchObject({
    learningRate: 1e-4,
    lrSchedulerType: "cosine",
    reportTo: "none",
  });
  expect((await tunesmith([...argv, "--max_steps", "1"])).code).toBe(0);
});

test("a chat template and an end of sequence are given as to trl sft, and a resumed run needs no file of them", async () => {
  const [template, output] = [join(folder, "template.jinja"), join(folder, "out")];
  const text =
    "{% for m in messages %}{{ m.role }}: {% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% endfor %}";
  await writeFile(template, text);
  const turns = (n: number) => [
    { role: "user", content: `say ${n}` },
    { role: "assistant", content: `${n}` },
  ];
  const lines = Array.from({ length: 8 }, (_, n) => `${JSON.stringify({ messages: turns(n) })}\n`);
  await writeFile(join(rows, "train.jsonl"), lines.join(""));
  const argv = ["sft", "--model_name_or_path", model, "--dataset_name", rows, "--output_dir", output];
  const more = ["--chat_template_path", template, "--eos_token", "<|im_start|>", "--use_peft", "--save_steps", "1"];
  const { options } = await dryRun([...argv, ...more]);
  expect(options).toMatchObject({ chatTemplatePath: template, eosToken: "<|im_start|>" });
  expect((await tunesmith([...argv, ...more, "--max_steps", "2"])).code).toBe(0);
  expect(await readFile(join(output, "adapter", "chat_template.jinja"), "utf8")).toBe(text);
  const saved = JSON.parse(await readFile(join(output, "adapter", "tokenizer_config.json"), "utf8"));
  expect(saved.eos_token).toBe("<|im_start|>");
  await rm(template);
  await rm(join(output, "checkpoint-2"), { recursive: true });
  expect((await tunesmith(["resume", output])).code).toBe(0);
});

test("the command in the head of TRL's script runs but for the push, which is refused by name (trl/scripts/sft.py, LoRA)", async () => {
  const argv = asWritten(`sft \\
    --model_name_or_path Qwen/Qwen2-0.5B \\
    --dataset_name trl-lib/Capybara \\
    --learning_rate 2.0e-4 \\
    --num_train_epochs 1 \\
    --packing \\
    --per_device_train_batch_size 2 \\
    --gradient_accumulation_steps 8 \\
    --eval_strategy steps \\
    --eval_steps 100 \\
    --use_peft \\
    --lora_r 32 \\
    --lora_alpha 16 \\
    --output_dir Qwen2-0.5B-SFT \\
    --push_to_hub`);
  const pushed = await tunesmith(["sft", ...argv]);
  expect(pushed.code).toBe(2);
  expect(pushed.err).toMatch(
    /\[--push-to-hub\] expected false or null, got true; not yet: the run folder holds the result/u,
  );
  const kept = argv.filter((word) => word !== "--push_to_hub");
  const { options } = await dryRun(["sft", ...kept]);
  expect(options).toMatchObject({
    packing: true,
    evalStrategy: "steps",
    evalSteps: 100,
    evalData: join(rows, "test.jsonl"),
  });
  const { code, out } = await tunesmith(["sft", ...kept]);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("eval") });
});

const base = () => ["sft", "--model_name_or_path", model, "--dataset_name", rows];

test("flags have the forms of transformers' command line", async () => {
  for (const on of [["--packing"], ["--packing", "True"], ["--packing", "yes"], ["--packing=1"], ["--packing", "t"]])
    expect((await dryRun([...base(), ...on])).options.packing, on.join(" ")).toBe(true);
  for (const off of [["--packing", "False"], ["--no_packing"], ["--no-packing"]])
    expect((await dryRun([...base(), ...off])).options.packing, off.join(" ")).toBe(false);
  expect((await dryRun([...base(), "--no_gradient_checkpointing"])).options.gradientCheckpointing).toBe(false);
  const lists = [
    "--use_peft",
    "--lora_target_modules",
    "q_proj",
    "v_proj",
    "--warmup_steps",
    "0.1",
    "--learning_rate",
    "2.0e-5",
  ];
  expect((await dryRun([...base(), ...lists])).options).toMatchObject({
    targetModules: ["q_proj", "v_proj"],
    learningRate: 2e-5,
  });
  expect((await dryRun([...base(), "--save_total_limit", "None"])).options).toMatchObject({ saveTotalLimit: null });
  const model_init = ["--model_init_kwargs", '{"attn_implementation": "sdpa", "dtype": "bfloat16"}'];
  expect((await dryRun([...base(), ...model_init])).options).toMatchObject({ dtype: "bfloat16" });
});

test("a file may hold texts where numbers are meant, and variables of the environment; a flag beats it", async () => {
  const yaml = join(folder, "config.yaml");
  const text = `model_name_or_path: ${model}\ndataset_name: ${rows}\nlearning_rate: "1e-4"\npacking: "True"\nenv:\n  TUNESMITH_SFT_TEST: 5\nlora_r: 4\nuse_peft: true\n`;
  await writeFile(yaml, text);
  const { options } = await dryRun(["sft", "--config", yaml, "--lora_r", "8"]);
  expect(options).toMatchObject({ learningRate: 1e-4, packing: true, r: 8 });
  expect(process.env.TUNESMITH_SFT_TEST).toBe("5");
  delete process.env.TUNESMITH_SFT_TEST;
});

test("a run goes on with the flag of TRL, which is not said to ask for nothing", async () => {
  const argv = [...base(), "--output_dir", join(folder, "out"), "--max_steps", "1"];
  expect((await tunesmith(argv)).code).toBe(0);
  const { code, out, err } = await tunesmith([...argv, "--resume_from_checkpoint", "True"]);
  expect({ code, err: err.includes("this run is finished") || out.includes("this run is finished") }).toEqual({
    code: 0,
    err: true,
  });
  expect(out).not.toContain("nothing to do");
});

test("what is not used or not there is said", async () => {
  const unused = await tunesmith([...base(), "--lora_r", "8", "--dry-run"]);
  expect(unused.err).toContain("without --use_peft no adapter is trained, and not used are: r");
  expect((await dryRun([...base(), "--lora_r", "8"])).options).toMatchObject({ r: 16, fullFinetuning: true });
  const split = await tunesmith([
    ...base(),
    "--dataset_test_split",
    "validation",
    "--eval_strategy",
    "epoch",
    "--dry-run",
  ]);
  expect(split.err).toMatch(/expected the split "validation", got "\w+", "\w+"; give one as split/u);
  for (const [flag, value] of [
    ["--num_processes", "4"],
    ["--accelerate_config", "zero2"],
    ["--deepspeed", "ds.json"],
  ] as const)
    expect((await tunesmith([...base(), flag, value])).err, flag).toMatch(/not yet: a run has one (?:process|device)/u);
  const typo = await tunesmith([...base(), "--lora_rr", "4"]);
  expect(typo.err).toMatch(/unknown option '--lora_rr'|unknown option '--lora-rr'/u);
});

test("entries of datasets say which split and which configuration they are; train is the default", async () => {
  const of = (...datasets: object[]) => ["sft", "--model_name_or_path", model, "--datasets", JSON.stringify(datasets)];
  const { options } = await dryRun(of({ path: rows }, { path: rows, split: "test" }));
  expect(options).toMatchObject({ data: [join(rows, "train.jsonl"), join(rows, "test.jsonl")] });
  expect((await tunesmith(of({ path: rows, name: "other" }))).err).toMatch(/expected the configuration "other"/u);
});

test("model_init_kwargs hold options of the model alone, and say nothing else than the other flags", async () => {
  const kwargs = (value: object, ...more: string[]) => [
    ...base(),
    "--model_init_kwargs",
    JSON.stringify(value),
    ...more,
  ];
  expect((await dryRun(kwargs({ torch_dtype: "bfloat16" }))).options).toMatchObject({ dtype: "bfloat16" });
  const same = kwargs({ torch_dtype: "bfloat16", dtype: "bfloat16" }, "--dtype", "bfloat16");
  expect((await dryRun(same)).options).toMatchObject({ dtype: "bfloat16" });
  const refused: [string[], RegExp][] = [
    [
      kwargs({ torch_dtype: "bfloat16" }, "--dtype", "float32"),
      /dtype as it is given besides, "float32", got "bfloat16"/u,
    ],
    [kwargs({ torch_dtype: "bfloat16", dtype: "float32" }), /dtype as it is given besides, "bfloat16", got "float32"/u],
    [kwargs({ revision: "a" }, "--model_revision", "b"), /modelRevision as it is given besides, "b", got "a"/u],
    [kwargs({ learning_rate: 1 }), /\[modelInitKwargs\] expected a known option, got "learning_rate"/u],
  ];
  refused.push([kwargs({ revision: "a" }), /\[modelRevision\] expected none with a local path, got "a"/u]);
  for (const [argv, message] of refused) expect((await tunesmith(argv)).err).toMatch(message);
});

test("held-out rows by Tunesmith's own name are evaluated on, several sets by name too", async () => {
  const [a, b] = [join(rows, "test.jsonl"), join(rows, "train.jsonl")];
  expect((await dryRun([...base(), "--eval_data", b])).options).toMatchObject({ evalData: b, evalStrategy: "epoch" });
  const sets = { a, b };
  const named = [
    "--eval_data",
    JSON.stringify(sets),
    "--eval_strategy",
    "steps",
    "--metric_for_best_model",
    "eval_b_loss",
  ];
  const { options, warnings } = await dryRun([...base(), ...named]);
  expect(options).toMatchObject({ evalData: sets, evalStrategy: "steps", metricForBestModel: "eval_b_loss" });
  const { out } = await tunesmith([...base(), ...named, "--dry-run"]);
  expect(parse(out.slice(out.indexOf("options:"))).evalSets).toMatchObject({ a: { rows: 4 }, b: { rows: 12 } });
  expect(out).not.toMatch(/[&*]a1$/mu);
  // Nothing is said of what was not given.
  expect(warnings).toEqual([expect.stringMatching(/train\.jsonl: these are the rows that are trained on/u)]);
});

test("what says which rows are read and is not read is said", async () => {
  const said = async (...argv: string[]) => (await tunesmith([...base(), ...argv, "--dry-run"])).err;
  const mixture = ["--datasets", JSON.stringify([{ path: rows }])];
  const both = await said(...mixture, "--dataset_train_split", "other");
  expect(both).toContain(`data ${JSON.stringify(rows)} has no effect: datasets say which rows are trained on`);
  expect(both).toContain('datasetTrainSplit "other" has no effect: datasets say which rows are trained on');
  expect(await said("--dataset_test_split", "other")).toContain('datasetTestSplit "other" has no effect');
  expect(await said("--test_split_size", "0.5")).toContain("the rows held out are neither trained on nor evaluated");
  const held = await dryRun([...base(), "--test_split_size", "0.5", "--eval_strategy", "epoch"]);
  expect(held.options).toMatchObject({ testSize: 0.5, evalData: null });
  expect(held.warnings).toEqual([]);
  const file = ["--dataset_name", join(rows, "test.jsonl"), "--dataset_config", "other"];
  expect(await said(...file)).toMatch(/expected the configuration "other", got "default"/u);
});

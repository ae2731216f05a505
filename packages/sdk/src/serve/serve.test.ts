import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { exportGguf, exportGgufLora, loadModel } from "@tunesmith/native";
import { expect, onTestFinished, test } from "vitest";
import { FastLanguageModel, SFTTrainer } from "../index.ts";
import { checkExport, type ExportReader } from "./check-export.ts";
import { lossFigure } from "./loss-figure.ts";
import { writeModelCard } from "./model-card.ts";
import { writeModelfile } from "./modelfile.ts";
import { ollamaTemplate } from "./ollama-template.ts";

const fixtures = resolve(import.meta.dirname, "../../../../test/fixtures");
const model = join(fixtures, "models/llama");
const adapter = join(fixtures, "goldens/llama/lora/adapter_end");

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-serve-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const templateOf = async (chatTemplate: string) => ollamaTemplate((await loadModel(model, { chatTemplate })).tokenizer);

const turns = `{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}`;
const prompt = `{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;

test("a template that puts texts around turns is written in Ollama's language", async () => {
  const role = (name: string) => `<|im_start|>${name}\n{{ .Content }}<|im_end|>\n`;
  const body =
    `{{ range .Messages }}{{ if eq .Role "system" }}${role("system")}{{ else if eq .Role "user" }}${role("user")}` +
    `{{ else if eq .Role "assistant" }}${role("assistant")}{{ end }}{{ end }}<|im_start|>assistant\n`;
  expect(await templateOf(turns + prompt)).toBe(body);
  const first = `{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nHelp.<|im_end|>\n' }}{% endif %}`;
  expect(await templateOf(first + turns + prompt)).toBe(
    `{{ if ne (index .Messages 0).Role "system" }}<|im_start|>system\nHelp.<|im_end|>\n{{ end }}${body}`,
  );
});

test("a template that does more is left to Ollama", async () => {
  const counted = turns.replace("m['content']", "(loop.index | string) + m['content']");
  const trimmed = turns.replace("m['content']", "m['content'] | replace('.', '')");
  const refusing = `{% if messages[0]['role'] == 'system' %}{{ raise_exception('none') }}{% endif %}${turns}`;
  const foreign = turns.replace("<|im_end|>", "}}");
  for (const template of [counted, trimmed, refusing, foreign]) expect(await templateOf(template + prompt)).toBeNull();
});

test("a Modelfile names the file, what ends an answer, and the published parameters", async () => {
  const folder = temporaryFolder();
  const source = join(folder, "model");
  cpSync(model, source, { recursive: true });
  writeFileSync(join(source, "chat_template.jinja"), turns + prompt);
  writeFileSync(
    join(source, "generation_config.json"),
    '{"eos_token_id":2,"temperature":0.6,"repetition_penalty":1.1,"top_k":"x"}',
  );
  const output = join(folder, "my model.gguf");
  await exportGguf({ model: source, output, quantization: "q8_0" });
  const { path, notes } = await writeModelfile(output, { model: source });
  expect([path, notes]).toEqual([join(folder, "my model.Modelfile"), []]);
  const text = readFileSync(path, "utf8");
  const end = (await loadModel(output)).info.eosTokenIds.map((id) => JSON.stringify(nameOf(id)));
  expect(text).toMatch(/^# Written by Tunesmith\.\nFROM \.\/my model\.gguf\nTEMPLATE """\{\{ range/u);
  for (const token of end) expect(text).toContain(`PARAMETER stop ${token}\n`);
  expect(text.split("\n").slice(-3)).toEqual(["PARAMETER temperature 0.6", "PARAMETER repeat_penalty 1.1", ""]);
  await expect(writeModelfile(output)).rejects.toThrow(/ask to overwrite/u);
  await writeModelfile(output, { overwrite: true });
  writeFileSync(path, "FROM mine");
  await expect(writeModelfile(output, { overwrite: true })).rejects.toThrow(/not written here/u);
  expect(readFileSync(path, "utf8")).toBe("FROM mine");
});

/** The text of a special token of the tests' tokenizer. */
function nameOf(id: number): string {
  const { added_tokens: tokens } = JSON.parse(readFileSync(join(model, "tokenizer.json"), "utf8"));
  return tokens.find((token: { id: number }) => token.id === id).content;
}

test("an export is looked over for its reader", async () => {
  const folder = temporaryFolder();
  const own = join(folder, "adapter");
  cpSync(adapter, own, { recursive: true });
  const config = JSON.parse(readFileSync(join(own, "adapter_config.json"), "utf8"));
  const write = (changes: object) =>
    writeFileSync(join(own, "adapter_config.json"), JSON.stringify({ ...config, ...changes }));
  write({
    r: 12,
    base_model_name_or_path: "org/base",
    rank_pattern: {},
    alpha_pattern: {},
    modules_to_save: null,
    bias: "none",
  });
  expect(await checkExport(own, "vllm")).toEqual({
    problems: [],
    notes: [],
    commands: [`vllm serve org/base --enable-lora --max-lora-rank 16 --lora-modules adapter=${own}`],
  });
  write({
    use_dora: true,
    modules_to_save: ["lm_head"],
    bias: "all",
    rank_pattern: { q_proj: 2 },
    alpha_pattern: {},
    r: 1000,
  });
  const { problems } = await checkExport(own, "vllm");
  const named = ["modules_to_save", "use_dora", "bias", "rank_pattern", "rank 1000"];
  expect(problems.map((problem) => named.find((name) => problem.startsWith(name)))).toEqual(named);
  expect((await checkExport(own, "llama.cpp")).problems).toHaveLength(1);
  write({ r: 0 });
  await expect(checkExport(own, "vllm")).rejects.toMatchObject({ code: "CONFIG_INVALID" });

  const [whole, lora] = [join(folder, "m.gguf"), join(folder, "lora.gguf")];
  await exportGguf({ model, output: whole, quantization: "f16" });
  await exportGgufLora({ model, adapter, output: lora });
  expect((await checkExport(whole, "llama.cpp")).commands).toEqual([`llama-server -m ${whole} --jinja`]);
  expect((await checkExport(lora, "llama.cpp")).commands).toEqual([`llama-server -m BASE.gguf --lora ${lora} --jinja`]);
  expect((await checkExport(lora, "vllm")).problems).toHaveLength(1);
  expect((await checkExport(whole, "ollama")).problems).toHaveLength(1);
  await writeModelfile(whole);
  expect(await checkExport(whole, "ollama")).toMatchObject({
    problems: [],
    commands: [/ollama create m -f/u, "ollama run m"].map((line) => expect.stringMatching(line)),
  });
  expect((await checkExport(model, "vllm")).commands).toEqual([`vllm serve ${model}`]);
  await expect(checkExport(model, "tgi" as ExportReader)).rejects.toMatchObject({ code: "OPTION_INVALID" });
  await expect(checkExport(join(folder, "nothing"), "vllm")).rejects.toMatchObject({ name: "ArgumentError" });
});

test("a model card tells what a run was, and no path", { timeout: 60_000 }, async () => {
  const folder = temporaryFolder();
  const rows = join(folder, "secret-place", "rows.jsonl");
  mkdirSync(join(folder, "secret-place"));
  const messages = [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "Good day" },
  ];
  writeFileSync(
    rows,
    `${Array.from({ length: 8 }, (_, n) => JSON.stringify({ messages: [...messages.slice(0, 1), { role: "assistant", content: `Day ${n}` }] })).join("\n")}\n`,
  );
  const run = join(folder, "run");
  const peft = (await FastLanguageModel.fromPretrained(model)).getPeftModel({ r: 2 });
  const args = { outputDir: run, maxSteps: 3, learningRate: 0.01, saveStrategy: "no", evalStrategy: "epoch" } as const;
  await expect(writeModelCard(run)).rejects.toThrow(/finished run/u);
  await new SFTTrainer({ model: peft, trainDataset: rows, evalDataset: rows, args }).train();
  const { path, figure } = await writeModelCard(run);
  expect([path, figure].map((file) => basename(file ?? ""))).toEqual(["README.md", "training-loss.svg"]);
  const text = readFileSync(path, "utf8");
  for (const wanted of [
    "library_name: peft",
    "| source | rows.jsonl",
    "| `learningRate` | 0.01 |",
    "| `r` | 2 |",
    "3 steps",
    "`evalLoss`",
    "Perplexity",
  ])
    expect(text).toContain(wanted);
  for (const told of [folder, "secret-place", fixtures, "Good day"]) expect(text).not.toContain(told);
  expect(readFileSync(figure as string, "utf8")).toMatch(/^<svg [\s\S]*<polyline[\s\S]*<\/svg>\n$/u);
  await expect(writeModelCard(run)).rejects.toThrow(/ask to overwrite/u);
  await writeModelCard(run, { overwrite: true });
  writeFileSync(path, "mine");
  await expect(writeModelCard(run, { overwrite: true })).rejects.toThrow(/not written here/u);
  expect(readdirSync(run)).toContain("README.md");
});

test("a figure needs two points", () => {
  expect(lossFigure([{ step: 1, loss: 2 }], [])).toBeNull();
  expect(
    lossFigure(
      [
        { step: 1, loss: 2 },
        { step: 2, loss: 1 },
      ],
      [],
    ),
  ).toContain("12.0 628.0");
});

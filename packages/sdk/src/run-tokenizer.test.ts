// `chatTemplatePath` and `eosToken` of a run: what is trained, what is saved, what answers afterwards.
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { loadTokenizer } from "@tunesmith/native";
import { readRunConfig } from "@tunesmith/trainer";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { explainRows, FastLanguageModel, SFTTrainer } from "./index.ts";
import { FakeHub, filesOf } from "./testing/fake-hub.ts";

vi.setConfig({ testTimeout: 120_000 });

const tinyModel = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const template =
  "{% for m in messages %}[{{ m.role }}]{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
const rows = Array.from({ length: 6 }, (_, n) => ({
  messages: [
    { role: "user", content: `Say ${n}.` },
    { role: "assistant", content: `${n}` },
  ],
}));

let folder: string;
/** Another token than the end of sequence that is special in the vocabulary. */
let other: string;
let own: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-tokenizer-"));
  await writeFile(join(folder, "template.jinja"), template);
  own = (await loadTokenizer(tinyModel)).info.eosToken?.content ?? "";
  const { added_tokens: added } = JSON.parse(await readFile(join(tinyModel, "tokenizer.json"), "utf8"));
  other = added.map(({ content }: { content: string }) => content).find((content: string) => content !== own);
  expect([own, other].every((token) => typeof token === "string" && token !== "")).toBe(true);
});
afterAll(() => rm(folder, { recursive: true }));

async function train(name: string, args: object, model?: FastLanguageModel) {
  const opened = model ?? (await FastLanguageModel.fromPretrained(tinyModel));
  const outputDir = join(folder, name);
  const common = { outputDir, maxSteps: 1, perDeviceTrainBatchSize: 2 };
  await new SFTTrainer({ model: opened, trainDataset: rows, args: { ...common, ...args } }).train();
  return { model: opened, outputDir, adapter: join(outputDir, "adapter") };
}

test("eosToken ends rows, is saved with what is trained, and ends answers", async () => {
  const model = await FastLanguageModel.fromPretrained(tinyModel);
  const texts = [{ text: "hello" }, { prompt: "a", completion: "b" }];
  const ends = async (args: object) => {
    const first = async (row: object) =>
      (await explainRows([row as { text: string }], { model, args })).rows[0]?.tokens;
    return Promise.all(texts.map(async (row) => (await first(row))?.at(-1)?.text));
  };
  expect(await ends({})).toEqual([own, own]);
  expect(await ends({ eosToken: other })).toEqual([other, other]);
  const { adapter, outputDir } = await train("eos", { eosToken: other }, model);
  const saved = (await loadTokenizer(adapter)).info;
  expect(saved.eosToken?.content).toBe(other);
  expect(model.info.eosTokenIds).toContain(saved.eosToken?.id);
  // The other ends stay, as in TRL.
  expect(model.info.eosTokenIds).toEqual(
    expect.arrayContaining((await FastLanguageModel.fromPretrained(tinyModel)).info.eosTokenIds),
  );
  const again = await FastLanguageModel.fromPretrained(tinyModel, { adapter });
  expect(again.tokenizer.info.eosToken?.content).toBe(other);
  const merged = join(folder, "eos-merged");
  await again.savePretrainedMerged(merged);
  expect((await loadTokenizer(merged)).info.eosToken?.content).toBe(other);
  expect(JSON.parse(await readFile(join(merged, "config.json"), "utf8")).eos_token_id).toBe(saved.eosToken?.id);
  expect((await readRunConfig(outputDir)).args).toMatchObject({ eosToken: other });
  await expect(train("eos-nowhere", { eosToken: "<|nowhere|>" })).rejects.toThrow(
    /^\[eosToken\] expected a token of this vocabulary as the end of sequence, got "<\|nowhere\|>"/u,
  );
});

test("an end of sequence that the model has no row for is left with the adapter", async () => {
  const { adapter } = await train("added", {});
  const file = join(adapter, "tokenizer.json");
  const tokenizer = JSON.parse(await readFile(file, "utf8"));
  const id = Math.max(...tokenizer.added_tokens.map((token: { id: number }) => token.id), 400) + 1;
  tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id, content: "<|added|>" });
  await writeFile(file, JSON.stringify(tokenizer));
  const config = join(adapter, "tokenizer_config.json");
  await writeFile(config, JSON.stringify({ ...JSON.parse(await readFile(config, "utf8")), eos_token: "<|added|>" }));
  const model = await FastLanguageModel.fromPretrained(tinyModel, { adapter });
  expect(model.tokenizer.info.eosToken?.content).toBe(own);
  await model.savePretrainedMerged(join(folder, "added-merged"));
  expect((await loadTokenizer(join(folder, "added-merged"))).info.eosToken?.content).toBe(own);
});

test("full fine-tuning with an eosToken writes it into every file that says what ends a text", async () => {
  const model = await FastLanguageModel.fromPretrained(tinyModel, { fullFinetuning: true });
  const { adapter } = await train("eos-full", { eosToken: other }, model);
  const id = (await loadTokenizer(adapter)).info.eosToken?.id;
  expect(JSON.parse(await readFile(join(adapter, "config.json"), "utf8")).eos_token_id).toBe(id);
  const reopened = await FastLanguageModel.fromPretrained(adapter);
  expect(reopened.tokenizer.info.eosToken?.content).toBe(other);
  expect(reopened.info.eosTokenIds).toContain(id);
});

test("chatTemplatePath is a Jinja file: rows are written with it, and so are answers and what is saved", async () => {
  const path = join(folder, "template.jinja");
  const { model, adapter, outputDir } = await train("jinja", { chatTemplatePath: path });
  expect(model.tokenizer.info.chatTemplate).toBe(template);
  expect(await readFile(join(adapter, "chat_template.jinja"), "utf8")).toBe(template);
  const before = await FastLanguageModel.fromPretrained(tinyModel);
  const explained = await explainRows(rows, { model: before, args: { chatTemplatePath: path }, examples: 1 });
  expect(explained.rows[0]?.tokens.map(({ text }) => text).join("")).toBe(`[user]Say 0.${own}[assistant]0${own}`);
  // A resumed run does not need the file.
  const { args, modelConfig } = await readRunConfig(outputDir);
  expect({ path: args.chatTemplatePath, template: modelConfig.chatTemplate }).toEqual({ path: null, template });
  expect(before.tokenizer.info.chatTemplate).not.toBe(template);
});

test("chatTemplatePath is a tokenizer: its template and its end of sequence are taken", async () => {
  const source = join(folder, "source");
  await cp(tinyModel, source, { recursive: true });
  await writeFile(join(source, "chat_template.jinja"), template);
  const config = JSON.parse(await readFile(join(source, "tokenizer_config.json"), "utf8"));
  await writeFile(join(source, "tokenizer_config.json"), JSON.stringify({ ...config, eos_token: other }));
  const { model, adapter } = await train("folder", { chatTemplatePath: source });
  expect(model.tokenizer.info).toMatchObject({ chatTemplate: template, eosToken: { content: other } });
  expect((await loadTokenizer(adapter)).info).toMatchObject({ chatTemplate: template, eosToken: { content: other } });
  const { model: chosen } = await train("folder-own", { chatTemplatePath: source, eosToken: own });
  expect(chosen.tokenizer.info).toMatchObject({ chatTemplate: template, eosToken: { content: own } });
});

test("chatTemplatePath is a model of the Hub, of which no weights are downloaded", async () => {
  const source = join(folder, "hub-source");
  await cp(tinyModel, source, { recursive: true });
  await writeFile(join(source, "chat_template.jinja"), template);
  const hub = new FakeHub(filesOf(source));
  await hub.listen();
  onTestFinished(() => {
    vi.unstubAllEnvs();
    hub.close();
  });
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HOME", join(folder, "home-of-models"));
  const { adapter } = await train("hub", { chatTemplatePath: "acorn/tiny-oak" });
  expect(await readFile(join(adapter, "chat_template.jinja"), "utf8")).toBe(template);
  const sizes = await Promise.all(
    (await readdir(join(folder, "home-of-models"), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  const weights = (await stat(join(tinyModel, "model.safetensors"))).size;
  expect(sizes.every((size) => size < weights)).toBe(true);
});

test("what is no template is refused by name, and a template of other tokens too", async () => {
  await expect(train("nowhere", { chatTemplatePath: join(folder, "nowhere.jinja") })).rejects.toThrow(
    /^\[chatTemplatePath\] expected a Jinja file, or the folder, GGUF file or hub model of a tokenizer .* where nothing is; correct it$/u,
  );
  const bare = join(folder, "bare");
  await cp(tinyModel, bare, { recursive: true });
  await rm(join(bare, "chat_template.jinja"), { force: true });
  await expect(train("bare", { chatTemplatePath: bare })).rejects.toThrow(/^\[chatTemplatePath\] .*which has none/u);
  await writeFile(join(folder, "strange.jinja"), "{{ messages[0].content }}<|no_such_token|>");
  await expect(train("strange", { chatTemplatePath: join(folder, "strange.jinja") })).rejects.toThrow(
    /<\|no_such_token\|>/u,
  );
});

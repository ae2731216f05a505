import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../../core/src/testing/scratch.ts";
import { type EvaluateOptions, type Evaluation, evaluate } from "./evaluate.ts";
import { explainRows } from "./explain.ts";
import { FastLanguageModel } from "./fast-language-model.ts";

const tiny = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const adapter = resolve(import.meta.dirname, "../../../test/fixtures/goldens/llama/lora/adapter_end");

const row = (question: string, answer: string, more: object = {}) => ({
  messages: [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ],
  ...more,
});
const rows = [
  row("What is the word?", "heron heron", { topic: "words" }),
  row("What is the number?", "twenty one", { topic: "numbers", level: 2 }),
  row("And the colour?", "a deep green", { topic: "words" }),
];

async function open(options: object = {}) {
  const model = await FastLanguageModel.fromPretrained(tiny, { device: "cpu", ...options });
  onTestFinished(() => model.dispose());
  return model;
}

const settings: Partial<EvaluateOptions> = { data: rows, maxNewTokens: 6, resamples: 50 };
const given = (more: Partial<EvaluateOptions> = {}) => ({ ...settings, ...more }) as EvaluateOptions;

/** Values of a table by metric. */
const values = ({ metrics }: Evaluation["overall"], of: "model" | "base" = "model") =>
  Object.fromEntries(metrics.map((entry) => [entry.metric, entry[of]?.value]));

/** What a model answers to the question of a row. */
async function say(model: FastLanguageModel, question: string) {
  let text = "";
  for await (const piece of model.generate(question, { maxNewTokens: 6 })) text += piece;
  return text;
}

test("loss is the mean of every supervised token, answers are those of generate, and the base is the model without its adapter", async () => {
  const model = await open({ adapter });
  const plain = await open();
  const { overall, rows: kept, warnings } = await evaluate(model, given());
  const alone = await evaluate(plain, given());
  expect(values(overall, "base")).toEqual(values(alone.overall));
  expect(values(overall)).not.toEqual(values(alone.overall));
  expect(alone.overall.metrics.every(({ base, difference }) => base === null && difference === null)).toBe(true);
  await using session = await plain.createGenerator();
  const explained = await explainRows(rows, { model: plain, session, examples: 3 });
  const tokens = explained.rows.flatMap((one) => one.tokens.filter(({ weight }) => weight > 0));
  const loss = tokens.reduce((sum, token) => sum + (token.loss ?? 0), 0) / tokens.length;
  expect(values(alone.overall).loss).toBeCloseTo(loss, 5);
  expect(values(alone.overall).perplexity).toBeCloseTo(Math.exp(loss), 2);
  for (const [n, { answers, place, prompt, reference }] of kept.entries()) {
    const question = rows[n]?.messages[0]?.content ?? "";
    expect([place, prompt, reference]).toEqual([`evalDataset:${n + 1}`, question, rows[n]?.messages[1]?.content]);
    expect(answers.model?.text).toBe(await say(model, question));
    expect(answers.base?.text).toBe(await say(plain, question));
  }
  const difference = overall.metrics.find(({ metric }) => metric === "loss")?.difference;
  expect(difference?.value).toBeCloseTo((values(overall).loss ?? 0) - loss, 5);
  expect(difference?.interval?.[0]).toBeLessThanOrEqual(difference?.value ?? 0);
  expect(warnings).toEqual([]);
  // The adapter is active again, also after an evaluation that is stopped in the base.
  const controller = new AbortController();
  const onProgress = ({ contender }: { contender: string }) => contender === "base" && controller.abort();
  await expect(evaluate(model, given({ signal: controller.signal, onProgress }))).rejects.toMatchObject({
    code: "ABORTED",
  });
  expect((await model.adapters()).active).toBe("default");
}, 60_000);

test("exact match, ROUGE-L, metrics of one's own and tables by group are those of the answers", async () => {
  const model = await open();
  const written = await Promise.all(rows.map(({ messages }) => say(model, messages[0]?.content ?? "")));
  // Two of three rows have the model's own answer as reference, one of them between white space.
  const data = rows.map((one, n) =>
    row(one.messages[0]?.content ?? "", n === 2 ? "no" : ` ${written[n]}`, { topic: ["words", "numbers", "words"][n] }),
  );
  const metrics = {
    length: ({ answer }: { answer: string }) => answer.length,
    isWord: async ({ row: { topic } }: { row: { topic?: unknown } }) => (topic === "words" ? true : null),
  };
  const { overall, groups, groupBy } = await evaluate(model, given({ data, metrics, groupBy: "topic" }));
  const found = Object.fromEntries(overall.metrics.map((metric) => [metric.metric, metric]));
  expect(found.exactMatch?.model.value).toBeCloseTo(2 / 3, 12);
  expect(found.rougeL?.model.value).toBeGreaterThan(0.6);
  expect(found.length?.model.value).toBeCloseTo(written.reduce((sum, text) => sum + text.length, 0) / 3, 12);
  expect(found.isWord).toMatchObject({ rows: 2, model: { value: 1 }, better: null });
  expect(groups.map(({ group, rows: count }) => [group, count])).toEqual([
    ["words", 2],
    ["numbers", 1],
  ]);
  expect([groupBy, values(groups[0] as Evaluation["overall"]).exactMatch]).toEqual(["topic", 0.5]);
  expect(groups[1]?.metrics.every(({ model: { interval } }) => interval === null)).toBe(true);
  const numbers = await evaluate(model, given({ groupBy: "level", generateAnswers: false }));
  expect(numbers.groups.map(({ group }) => group)).toEqual(["(none)", "2"]);
  expect(Object.keys(values(numbers.overall))).toEqual(["loss", "perplexity", "tokenAccuracy"]);
}, 60_000);

test("answers are kept: as they come, and whole at the end", async () => {
  const model = await open();
  const folder = await scratchFolder(onTestFinished);
  const answersFile = join(folder, "answers.jsonl");
  const { rows: kept } = await evaluate(model, given({ answersFile }));
  const lines = (await readFile(answersFile, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(JSON.parse(JSON.stringify(kept)));
  expect(await readdir(folder)).toEqual(["answers.jsonl"]);
  const controller = new AbortController();
  const onProgress = ({ phase, done }: { phase: string; done: number }) =>
    phase === "answers" && done === 2 && controller.abort();
  const stopped = evaluate(model, given({ answersFile, signal: controller.signal, onProgress }));
  await expect(stopped).rejects.toThrow(/^\[evaluate\] stopped as asked; 2 answers are in .*answers\.jsonl\.part$/u);
  const part = (await readFile(`${answersFile}.part`, "utf8")).trimEnd().split("\n");
  expect(part.map((line) => JSON.parse(line).answer)).toEqual(expect.arrayContaining([kept[0]?.answers.model?.text]));
  expect(await readFile(answersFile, "utf8")).toBe(`${lines.join("\n")}\n`);
  const own = join(folder, "rows.jsonl");
  await writeFile(own, rows.map((one) => `${JSON.stringify(one)}\n`).join(""));
  await expect(evaluate(model, given({ data: own, answersFile: own }))).rejects.toThrow("rows.jsonl");
}, 60_000);

test("what does not fit is named", async () => {
  const model = await open();
  const other = await model.withChatTemplate("chatml");
  const wrong: [Partial<EvaluateOptions>, string][] = [
    [{ base: true }, "[base] expected a model, since this one has no adapter"],
    [{ base: other }, "[base] expected a model with the same tokenizer"],
    [{ groupBy: "subject" }, '[groupBy] expected a column of the rows, got "subject"; they have messages, topic'],
    [{ metrics: { loss: () => 1 } }, "[metrics.loss] expected another name"],
    [
      { metrics: { own: () => Number.NaN } },
      "[metrics.own] expected a finite number, true, false or null for evalDataset:1",
    ],
    [{ metrics: { own: () => JSON.parse("{") } }, "[metrics.own] expected a number for evalDataset:1, got an error"],
    [{ resamples: 0 }, "resamples"],
    [{ data: [{ prompt: "no answer" }] }, "evalDataset"],
    [{ unknown: 1 } as object, "unknown"],
  ];
  for (const [options, message] of wrong)
    await expect(evaluate(model, given(options)), message).rejects.toThrow(message);
  // A prompt that fills the context is counted, and not answered.
  const long = row("word ".repeat(model.info.maxPositionEmbeddings), "x");
  const args = { maxLength: null, truncationMode: "keep_end" } as const;
  const { warnings, overall } = await evaluate(model, given({ data: [rows[0], long] as never, args }));
  expect(warnings.join()).toContain("1 of 2 rows have no answer");
  expect(overall.metrics.map(({ metric, rows: count }) => [metric, count])).toContainEqual(["exactMatch", 1]);
}, 60_000);

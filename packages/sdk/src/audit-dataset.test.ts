import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import { type AuditCode, type AuditOptions, audit, auditCodes, type RowObject } from "@tunesmith/data";
import { loadModel, similarity } from "@tunesmith/native";
import { afterEach, beforeEach, expect, test } from "vitest";
import { auditDataset } from "./audit-dataset.ts";
import { cleanEvalRows, cleanRows, row } from "./testing/audit-rows.ts";

const modelFolder = fileURLToPath(new URL("../../../test/fixtures/models/llama", import.meta.url));
const model = await loadModel(modelFolder);
const [user, assistant] = [
  { role: "user", content: "Who are you?" },
  { role: "assistant", content: "A helpful program." },
];
const long = Array.from({ length: 60 }, (_, n) => `word${n}`).join(" ");
const near = `${long} and the end`;

/** A fault: rows that are planted among clean ones, which of them are found, and what else the audit is told. */
interface Planted {
  rows: RowObject[];
  /** Of the planted rows, those that are named; the set as a whole where it is left out. */
  found?: number[];
  /** Whether the clean rows stay out, being of another format. */
  alone?: boolean;
  options?: AuditOptions;
}

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-audit-"));
});

afterEach(() => rm(folder, { recursive: true }));

const many = (count: number, of: (n: number) => RowObject) => Array.from({ length: count }, (_, n) => of(n));

const faults: Record<Exclude<AuditCode, "eval-not-covered">, Planted> = {
  "unusable-row": { rows: [{ messages: "none" }, { other: 1 }], found: [0, 1] },
  "broken-turns": { rows: [{ messages: [user, assistant, user] }, { messages: [assistant] }], found: [0, 1] },
  "role-order": {
    rows: [
      { messages: [user, { role: "user", content: "Well?" }, assistant] },
      { messages: [user, { role: "system", content: "Be brief." }, assistant] },
    ],
    found: [0, 1],
  },
  "empty-answer": { rows: [row("Say something.", " \n"), row("Say more.", "N/A")], found: [0, 1] },
  "cut-answer": {
    rows: [
      row("Count.", "First comes one, then two, then three, and then the"),
      row("Code?", "Here:\n```js\nlet a = 1;"),
    ],
    found: [0, 1],
  },
  "exact-duplicate": { rows: [cleanRows[3], cleanRows[3]], found: [0, 1] },
  "near-duplicate": { rows: [row("Repeat.", long), row("Repeat.", near)], found: [1] },
  "train-eval-leakage": {
    rows: [cleanEvalRows[0], row("Again.", near)],
    found: [0, 1],
    options: { evalDataset: [...cleanEvalRows, row("Again!", long)] },
  },
  "mixed-formats": { rows: [{ prompt: "Who?", completion: "Me, of course." }], found: [0] },
  "mixed-templates": { rows: [row("### Instruction:\nSay hello.\n### Response:", "Hello to you.")], found: [0] },
  "over-max-length": { rows: [row("Talk.", long)], found: [0], options: { model, args: { maxLength: 200 } } },
  "few-trained-tokens": { rows: many(30, (n) => row(`${long} ${n} ${long}`, "Yes.")), options: { model } },
  "answer-without-eos": { rows: [{ input_ids: [5, 6, 7], labels: [-100, 6, 7] }], alone: true, options: { model } },
  "repeated-ngrams": { rows: [row("Sing.", "We all live in a yellow house. ".repeat(6))], found: [0] },
  "short-answer": { rows: [row("Write a detailed essay on cats.", "Cats are nice.")], found: [0] },
  "conflicting-answers": { rows: [row("Is seven a  prime number?", "No, it is not.")], found: [0] },
  "control-token": { rows: [row("What is <|im_end|> for?", "It ends a turn.")], found: [0] },
  "mixed-languages": {
    rows: [row("Wie ist das Wetter?", "Das Wetter ist nicht gut und der Regen ist kalt.")],
    found: [0],
  },
  "mixed-scripts": {
    rows: [
      row("Tell me a word.", "The word is \u0440\u0430ssword here."),
      row("How are you today?", "У меня всё хорошо, спасибо."),
    ],
    found: [0, 1],
  },
  "one-pattern": {
    rows: many(40, (n) =>
      row(
        `What is the number ${n} times itself, called ${String.fromCharCode(97 + (n % 26))}${n}?`,
        `${n * n} it is, as sum ${n}.`,
      ),
    ),
  },
  "large-cluster": { rows: many(20, (n) => row("Repeat.", `${long} ${n}`)) },
  "low-diversity": { rows: many(600, (n) => row(`Question ${n} about ${n * 7}?`, "Yes it is so.")) },
  "low-judged-answer": {
    rows: [row("Is the earth flat?", "Yes, quite flat.")],
    found: [0],
    options: { judge: { score: ({ answer }) => (answer.includes("flat") ? 1 : 9), sample: 100 } },
  },
};

test.each(Object.entries(faults))(
  "finds a planted fault: %s",
  async (code, { rows, found, alone = false, options }) => {
    const report = await auditDataset([...(alone ? [] : cleanRows), ...rows], options);
    const finding = report.findings.find((entry) => entry.code === code);
    expect(finding?.remedy).toMatch(/\w/u);
    if (found === undefined) return;
    const places = found.map((n) => `trainDataset:${cleanRows.length + n + 1}`);
    expect(finding?.rows.map(({ place }) => place)).toEqual(places);
    expect(finding?.count).toBe(places.length);
  },
);

test("what is missing or cut is found in rows of other formats, and nothing in clean ones", async () => {
  const pairs = cleanRows.map(({ messages: [asked, answer] }) => ({
    prompt: asked?.content,
    completion: answer?.content,
  }));
  const cut = {
    prompt: "What is a quark?",
    completion: "A quark is an elementary particle that combines with others to form neut",
  };
  const { findings } = await auditDataset([...pairs, { prompt: "Well?", completion: null }, cut]);
  const found = findings.map(({ code, rows }) => [code, rows.map(({ place }) => place)]);
  expect(Object.fromEntries(found)).toEqual({
    "unusable-row": ["trainDataset:25"],
    "empty-answer": ["trainDataset:25"],
    "cut-answer": ["trainDataset:26"],
  });
  const texts = pairs.map(({ prompt, completion }) => ({ text: `${prompt} ${completion}` }));
  expect((await auditDataset(texts)).findings).toEqual([]);
});

test("finds an evaluation of tasks that training does not show", async () => {
  const other = many(12, (n) =>
    row(`Juggle ${n} ${["balls", "cups", "hats"][n % 3]}.`, `Thrown and caught, number ${n}.`),
  );
  const { findings, coverage } = await auditDataset([...cleanRows], { evalDataset: other });
  expect(findings.find(({ code }) => code === "eval-not-covered")?.count).toBe(12);
  expect(coverage.eval?.openings[0]).toEqual({ verb: "juggle", object: "0", count: 1 });
});

test("every code has a fault here", () => {
  expect([...Object.keys(faults), "eval-not-covered"].sort()).toEqual([...auditCodes].sort());
});

test("finds nothing in a clean set", async () => {
  const report = await auditDataset([...cleanRows], { model, evalDataset: [...cleanEvalRows], judge: () => 8 });
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({
    rows: cleanRows.length,
    formats: ["messages"],
    judged: { rows: 24, mean: 8, min: 8 },
    fixed: null,
  });
  expect(report.tokens?.trainedShare).toBeGreaterThan(0.3);
  expect(report.coverage.train.distinct2).toBeGreaterThan(0.8);
});

test("a limit or judge out of range, and an unknown option, is named", async () => {
  const wrong = [
    [{ limits: { maxPatternShare: 2 } }, "[limits.maxPatternShare] expected a number from 0 to 1, got 2"],
    [{ limits: { nearDuplicateThreshold: 0.5 } }, "from 0.7 to 1"],
    [{ judge: {} as never }, "[judge] expected a function"],
    [{ judge: () => 11 }, "expected a score from 0 to 10, got 11"],
    [{ judge: () => -1 }, "expected a score from 0 to 10, got -1"],
    [{ ignored: [] } as never, "ignore"],
  ] as const;
  for (const [options, message] of wrong) await expect(auditDataset([...cleanRows], options)).rejects.toThrow(message);
});

test("an endpoint in OpenAI's form scores answers", async () => {
  const asked: { body: { model: string; messages: { content: string }[] }; key: string | undefined }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    asked.push({ body: JSON.parse(text), key: request.headers.authorization });
    const content = text.includes("Lisbon") ? "Score: 2" : "9";
    response.end(JSON.stringify({ choices: [{ message: { content } }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  try {
    const judge = { baseUrl, model: "grader", apiKey: "secret", sample: 3 };
    const report = await auditDataset([...cleanEvalRows.slice(0, 3)], { judge });
    expect(report.judged).toEqual({ rows: 3, mean: 20 / 3, min: 2 });
    expect(report.findings).toMatchObject([
      { code: "low-judged-answer", rows: [{ place: "trainDataset:1", detail: "score 2" }] },
    ]);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toMatchObject({ body: { model: "grader" }, key: "Bearer secret" });
    expect(asked[0]?.body.messages[1]?.content).toContain("capital of Portugal");
  } finally {
    server.close();
  }
  const lost = auditDataset([...cleanEvalRows], { judge: { baseUrl, model: "grader" } });
  await expect(lost).rejects.toThrow(
    /^\[http:.*\] expected an answer of grader, got (?:ECONNREFUSED|UND_ERR_SOCKET|ECONNRESET); check the address/u,
  );
});

test("a cleaned copy has the bytes of what stays, in the format of the file", async () => {
  const [kept, blank] = [
    '{"prompt":"A?", "completion":"1.0 and 9007199254740993", "id":9007199254740993, "x":1.0}',
    '{"prompt":"B?","completion":" "}',
  ];
  const copies: Record<string, [Buffer | string, string]> = {
    "rows.jsonl": [
      `${kept}\r\n${blank}\n\nnot json\n${kept}\n{"prompt":"C?","completion":"Three."}`,
      `${kept}\r\n{"prompt":"C?","completion":"Three."}`,
    ],
    "rows.json": [`[ ${kept},\n ${blank}, ${kept} ]\n`, `[ ${kept}]\n`],
    "rows.csv": [
      'prompt,completion\n"A\n?","1, \n2"\nB?,\nC?,3.0\n"A\n?","1, \n2"\n',
      'prompt,completion\n"A\n?","1, \n2"\nC?,3.0\n',
    ],
  };
  for (const [name, [text, expected]] of Object.entries(copies)) {
    await writeFile(join(folder, name), text);
    const { fixed } = await auditDataset(join(folder, name), { fix: join(folder, `clean-${name}`) });
    expect(await readFile(join(folder, `clean-${name}`), "utf8")).toBe(expected);
    expect(fixed?.reasons).toMatchObject({ "empty-answer": 1, "exact-duplicate": 1 });
  }
  const packed = join(folder, "rows.jsonl.gz");
  await writeFile(packed, gzipSync(copies["rows.jsonl"]?.[0] ?? ""));
  const { fixed } = await auditDataset(packed, { fix: join(folder, "clean.jsonl.gz") });
  expect(gunzipSync(await readFile(join(folder, "clean.jsonl.gz"))).toString()).toBe(copies["rows.jsonl"]?.[1]);
  expect(fixed).toMatchObject({ kept: 2, removed: 3, reasons: { "unusable-row": 1 } });
});

test("a copy is never written over what is read, and needs one file", async () => {
  const path = join(folder, "rows.jsonl");
  await writeFile(path, '{"prompt":"A?","completion":" "}\n');
  await expect(auditDataset(path, { fix: path })).rejects.toThrow("apart from what is being read");
  const held = join(folder, "held.jsonl");
  await writeFile(held, '{"prompt":"B?","completion":"Two."}\n');
  await expect(auditDataset(path, { evalDataset: held, fix: held })).rejects.toThrow("apart from what is being read");
  expect(await readFile(held, "utf8")).toContain("B?");
  expect(await readFile(path, "utf8")).toContain("A?");
  await expect(auditDataset([...cleanRows], { fix: path })).rejects.toThrow("[fix] expected a data set of one file");
  expect((await auditDataset(path, { fix: join(folder, "new.jsonl"), ignore: ["empty-answer"] })).fixed?.removed).toBe(
    0,
  );
});

test("lines that hold no row stay in the copy where no one looks for them", async () => {
  const path = join(folder, "rows.jsonl");
  const line = '{"prompt":"A?","completion":"One."}\n';
  // After a row that goes, too.
  await writeFile(path, `${line}${line}not json\n`);
  const { fixed } = await auditDataset(path, { fix: join(folder, "new.jsonl"), ignore: ["unusable-row"] });
  expect(fixed).toMatchObject({ kept: 2, removed: 1, reasons: { "exact-duplicate": 1 } });
  expect(await readFile(join(folder, "new.jsonl"), "utf8")).toBe(`${line}not json\n`);
});

test("a judge looks at answers from all over the set", async () => {
  const places: string[] = [];
  const score = ({ place }: { place: string }) => places.push(place) && 8;
  await auditDataset([...cleanRows.slice(0, 20)], { judge: { score, sample: 4 } });
  expect(places).toEqual([1, 6, 11, 16].map((line) => `trainDataset:${line}`));
});

test("a row that goes for several reasons is counted for the first of them", async () => {
  const path = join(folder, "rows.jsonl");
  const rows = [cleanRows[0], row(long, " "), row(long, " ")];
  await writeFile(path, rows.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const { findings, fixed } = await auditDataset(path, { fix: join(folder, "clean.jsonl") });
  expect(findings.map(({ code }) => code)).toEqual(["empty-answer", "exact-duplicate"]);
  expect(fixed).toMatchObject({ kept: 1, removed: 2, reasons: { "empty-answer": 2 } });
});

test("a search for likeness that ended early is told", async () => {
  const ended = async (texts: readonly string[]) => ({ ...(await similarity.nearDuplicates(texts)), complete: false });
  const report = await audit([...cleanRows], { ...similarity, nearDuplicates: ended });
  expect(report).toMatchObject({ findings: [], comparedAll: false });
  expect((await audit([...cleanRows], similarity)).comparedAll).toBe(true);
});

test("every row that the chat template refuses is counted and removed", async () => {
  const place = join(folder, "model");
  await cp(modelFolder, place, { recursive: true });
  const template = join(place, "chat_template.jinja");
  const strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}";
  await writeFile(template, `${strict}${await readFile(template, "utf8")}`);
  const picky = await loadModel(place);
  const refused = many(13, (n) => ({ messages: [{ role: "system", content: `Rule ${n}.` }, user, assistant] }));
  const path = join(folder, "rows.jsonl");
  const rows = [...refused, ...cleanRows.slice(0, 2)];
  await writeFile(path, rows.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const options = { model: picky, ignore: ["exact-duplicate", "near-duplicate"] as const };
  const report = await auditDataset(path, { ...options, fix: join(folder, "clean.jsonl") });
  expect(report.findings.find(({ code }) => code === "unusable-row")?.count).toBe(13);
  expect(report.fixed).toMatchObject({ kept: 2, removed: 13 });
  // As many as go through the template at once, and all there are.
  const first = many(300, (n) => ({ messages: [{ role: "system", content: `Rule ${n}.` }, user, assistant] }));
  for (const more of [cleanRows.slice(0, 2), []]) {
    const { findings } = await auditDataset([...first, ...more], options);
    const found = findings.find(({ code }) => code === "unusable-row");
    expect(found?.count).toBe(300);
    expect(found?.rows[0]?.detail).toContain("no system");
  }
});

test("the copy keeps a near duplicate of a row that goes for another fault", async () => {
  const path = join(folder, "rows.jsonl");
  const rows = [row(long, "The end, and then the"), row(long, "The end."), row(long, "An end.")];
  await writeFile(path, rows.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  const { fixed } = await auditDataset(path, { fix: join(folder, "clean.jsonl") });
  expect(fixed?.reasons).toEqual({ "cut-answer": 1, "near-duplicate": 1 });
  expect(await readFile(join(folder, "clean.jsonl"), "utf8")).toBe(`${JSON.stringify(rows[1])}\n`);
});

test("a set of which training takes no row is told of with a model", async () => {
  const rows = many(2, (n) => ({ input_ids: [5, 6, n], labels: [-100, -100, -100] }));
  const { findings } = await auditDataset(rows, { model });
  const found = findings.find(({ code }) => code === "unusable-row");
  expect(found?.count).toBe(2);
  expect(found?.rows[0]?.detail).toContain("expected at least one row with a token to train on");
});

test("tokens are trained as the options of the run say", async () => {
  const content = "<think>Let me look for it.</think>It is in Lisbon.";
  const rows = [{ messages: [user, { role: "assistant", content }] }];
  const share = async (args: object) => (await auditDataset(rows, { model, args })).tokens?.trainedShare ?? 0;
  expect(await share({ trainOnReasoning: false })).toBeLessThan(await share({}));
});

test("a data set without rows throws as in training", async () => {
  const path = join(folder, "rows.jsonl");
  await writeFile(path, "\n");
  await expect(auditDataset(path)).rejects.toThrow("expected at least one row, got none");
  await expect(auditDataset([...cleanRows], { evalDataset: path })).rejects.toThrow(
    "rows.jsonl: expected at least one",
  );
});

import { hash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tunesmith } from "../testing/tunesmith.ts";

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let folder: string;
let data: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-inspect-"));
  data = join(folder, "rows.jsonl");
  const row = (question: string, more: object = {}) => ({
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: "well <b>done</b>", ...more },
    ],
  });
  const rows = [row("one"), row("two", { weight: 0.5 }), row("three"), row("four")];
  await writeFile(data, rows.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
});

afterEach(() => rm(folder, { recursive: true }));

test("shows what is trained of the first rows, special tokens among it", async () => {
  const { code, out } = await tunesmith(["inspect", "data", data, "--model", model]);
  expect(code).toBe(0);
  expect(out).toContain("4 rows (messages)");
  const template = await readFile(join(model, "chat_template.jinja"));
  expect(out).toContain(`prompt chat template ${hash("sha256", template).slice(0, 12)}\n`);
  expect(out).toContain("loss weights 0.5 to 1");
  expect(out).toContain("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n[well <b>done</b><|im_end|>]\n");
  expect(out).toContain("[0.5: well <b>done</b><|im_end|>]");
  expect(out).toContain("rows.jsonl:3");
  expect(out).not.toContain("rows.jsonl:4");
});

test("options of a run say what is trained, and ids and losses are shown on demand", async () => {
  const flags = ["--prompt-loss-weight", "0.25", "--examples", "1", "--ids", "--loss"];
  const { out } = await tunesmith(["inspect", "data", data, "--model", model, ...flags]);
  expect(out).toMatch(/\[0\.25: <\|im_start\|>⟨\d+⟩.*⟨\d+ [\d.]+⟩/u);
  expect(out).toMatch(/trained \(.*\), loss [\d.]+/u);
});

test("writes a page on which the texts of rows are no markup", async () => {
  const page = join(folder, "page.html");
  const { code, out } = await tunesmith(["inspect", "data", data, "--model", model, "--html", page, "--ids"]);
  expect([code, out.includes("saved  ")]).toEqual([0, true]);
  const html = await readFile(page, "utf8");
  expect(html).toContain('<span class="trained special"');
  expect(html).toContain('<span class="weighted"');
  expect(html).toMatch(/title="id \d+, weight 1"/u);
  expect(html).not.toContain("<b>");
});

test("what is being read is not written over, and wrong flags are named", async () => {
  const over = await tunesmith(["inspect", "data", data, "--model", model, "--html", data]);
  expect([over.code, over.err]).toEqual([2, expect.stringContaining("rows.jsonl")]);
  expect((await readFile(data, "utf8")).startsWith("{")).toBe(true);
  const config = join(folder, "run.yaml");
  await writeFile(config, `model: ${model}\ndata: ${data}\n`);
  for (const path of [config, model]) {
    const { code, err } = await tunesmith(["inspect", "data", "--config", config, "--html", path]);
    expect([code, err]).toEqual([2, expect.stringContaining("expected a path apart from what is being read")]);
  }
  expect(await readFile(config, "utf8")).toContain("model: ");
  const none = await tunesmith(["inspect", "data", data, "--model", model, "--examples", "0"]);
  expect(none.err).toContain("[--examples] expected a whole number above 0");
  expect((await tunesmith(["inspect", "data", data])).err).toContain("[--model] expected a model's path");
});

test("what a run would warn of is said here, with the places", async () => {
  await writeFile(data, `${await readFile(data, "utf8")}{"messages": 5}\n`);
  const { code, out, err } = await tunesmith(["inspect", "data", data, "--model", model, "--on-bad-row", "skip"]);
  expect(code).toBe(0);
  expect(out).toContain("1 skipped");
  expect(err).toMatch(
    /warning: .*1 row cannot be used and is skipped:\n {2}.*rows\.jsonl:5: expected a list of messages/u,
  );
});

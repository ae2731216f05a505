import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AuditReport } from "@tunesmith/sdk";
import { afterEach, beforeEach, expect, test } from "vitest";
import { tunesmith } from "../testing/tunesmith.ts";

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let folder: string;
let data: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-doctor-"));
  data = join(folder, "rows.jsonl");
  const rows = [
    { prompt: "One?", completion: "<b>First</b> of all." },
    { prompt: "Two?", completion: " " },
    { prompt: "One?", completion: "<b>First</b> of all." },
    { prompt: "\u001b[31mThree?", completion: "Third, the" },
  ];
  await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});

afterEach(() => rm(folder, { recursive: true }));

test("prints findings with their rows and remedies, and exits with 1 for an error", async () => {
  const { code, out } = await tunesmith(["doctor", "data", data]);
  expect(code).toBe(1);
  expect(out).toContain("4 rows (prompt-completion), 2 findings");
  expect(out).toMatch(
    /error\s+empty-answer: answers that say nothing \(1 row\)\n\s+.*rows\.jsonl:2: an empty answer\n\s+write these answers/u,
  );
  expect(out).toMatch(/warning\s+exact-duplicate: .*\n\s+.*rows\.jsonl:3: equals .*rows\.jsonl:1\n/u);
  const calm = await tunesmith(["doctor", "data", data, "--ignore", "empty-answer, exact-duplicate"]);
  expect([calm.code, calm.out.includes("nothing found")]).toEqual([0, true]);
});

test("looks at tokens where there is a model, and gives JSON", async () => {
  const { out } = await tunesmith(["doctor", "data", data, "--model", model, "--max-length", "10", "--json"]);
  const report = JSON.parse(out) as AuditReport;
  expect(report.findings.find(({ code }) => code === "over-max-length")?.rows[0]?.place).toMatch(/rows\.jsonl:\d$/u);
  expect(report.tokens?.max).toBeGreaterThan(10);
});

test("writes a page and a cleaned copy, never over what is read", async () => {
  const [html, fix] = [join(folder, "report.html"), join(folder, "clean.jsonl")];
  const { out } = await tunesmith(["doctor", "data", data, "--html", html, "--fix", fix]);
  expect(out).toContain("2 kept, 2 removed (1 empty-answer, 1 exact-duplicate)");
  const page = await readFile(html, "utf8");
  expect(page).toContain("&lt;b&gt;First&lt;/b&gt;");
  expect(page).not.toContain("<b>");
  const lines = (await readFile(data, "utf8")).split("\n");
  expect(await readFile(fix, "utf8")).toBe(`${lines[0]}\n${lines[3]}\n`);
  const [held, config] = [join(folder, "held.jsonl"), join(folder, "run.yaml")];
  await writeFile(held, lines[0] as string);
  await writeFile(config, `evalData: ${JSON.stringify(held)}\n`);
  for (const flag of ["--html", "--fix"])
    for (const input of [data, held, config])
      expect((await tunesmith(["doctor", "data", data, "--config", config, flag, input])).err).toContain(
        "apart from what is being read",
      );
  expect(await readFile(held, "utf8")).toBe(lines[0]);
  const both = await tunesmith(["doctor", "data", data, "--html", fix, "--fix", fix]);
  expect(both.err).toContain("[--html] expected another path than --fix");
});

test("a file without rows is an error, not a file without faults", async () => {
  for (const text of ["", "\n\n"]) {
    await writeFile(data, text);
    const { code, err } = await tunesmith(["doctor", "data", data]);
    expect([code, err]).toEqual([3, expect.stringContaining("expected at least one row, got none")]);
  }
});

test("names wrong flags", async () => {
  expect((await tunesmith(["doctor", "data"])).err).toContain("[data] expected a file of rows");
  expect((await tunesmith(["doctor", "data", data, "--ignore", "dups"])).err).toContain(
    "[--ignore] expected unusable-row",
  );
  expect((await tunesmith(["doctor", "data", data, "--judge-model", "a"])).err).toContain("[--judge]");
});

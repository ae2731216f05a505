// The programs in the documents run, each page's in one process, on a small model.
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The TypeScript blocks of a page, in order. */
async function programsOf(page: string): Promise<string[]> {
  const text = await readFile(join(root, page), "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```/gmsu)].map(([, program = ""]) => program);
}

/** Runs programs one after the other, with a small model and the data they name; gives their folder and what they printed. */
async function run(programs: readonly string[]): Promise<{ folder: string; stdout: string }> {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-documents-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const model = join(root, "test/fixtures/models/llama");
  const names = programs.map((_, index) => `program-${index}.mts`);
  for (const [index, name] of names.entries())
    await writeFile(join(folder, name), programs[index]?.replace("HuggingFaceTB/SmolLM2-135M-Instruct", model) ?? "");
  await writeFile(join(folder, "all.mts"), names.map((name) => `await import("./${name}");\n`).join(""));
  const row = {
    messages: [
      { role: "user", content: "hello" },
      { role: "assistant", content: "well done" },
    ],
  };
  const rows = `${JSON.stringify(row)}\n`.repeat(8);
  await writeFile(join(folder, "train.jsonl"), rows);
  await writeFile(join(folder, "held-out.jsonl"), rows);
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", import.meta.resolve("tsx"), "all.mts"], {
    cwd: folder,
    env: { ...process.env, TSX_TSCONFIG_PATH: join(root, "tsconfig.json") },
  });
  return { folder, stdout };
}

test("the fifteen lines of the README train a model and talk to it", async () => {
  const [program = "", ...others] = await programsOf("README.md");
  expect(program.trimEnd().split("\n")).toHaveLength(15);
  expect(others).toEqual([]);
  const { folder, stdout } = await run([program]);
  expect(stdout).toMatch(/^eval loss \S+\nstep 1: loss \S+\nstep 2: loss \S+\neval loss \S+\n/u);
  expect(await readdir(join(folder, "runs/tickets/adapter"))).toContain("adapter_model.safetensors");
});

test("the program of docs/quality.md audits rows and writes what is left of them", async () => {
  const { folder, stdout } = await run(await programsOf("docs/quality.md"));
  expect(stdout).toMatch(/^warning exact-duplicate 7 train\.jsonl:2$/mu);
  expect(stdout).toMatch(/^error train-eval-leakage 8 train\.jsonl:1\n.*kept 0 of 8$/msu);
  expect(await readFile(join(folder, "clean.jsonl"), "utf8")).toBe("");
});

test("the program of docs/generation.md answers two prompts four times each", async () => {
  const { stdout } = await run(await programsOf("docs/generation.md"));
  expect(new Set(stdout.match(/^[01] [0-3] /gmu)).size).toBe(8);
});

test("the program of docs/health.md stops at what its own rule finds, and goes on past it", async () => {
  const { stdout } = await run(await programsOf("docs/health.md"));
  expect(stdout).toMatch(
    /^\[health\] expected a run without findings, got high-loss after step 3 of 6: the loss is [\d.]+ after 3 steps\nstep 6, told high-loss at 3\n$/u,
  );
});

test("the programs of docs/training.md train, keep the best weights, stop and resume", async () => {
  const { folder, stdout } = await run(await programsOf("docs/training.md"));
  const lines = [
    /^runs\/cities\/adapter: mean loss [\d.]+ over 2 epochs$/u,
    /^rates 9\.37e-4, 7\.50e-4, 4\.38e-4, 0\.00e\+0$/u,
    /^stopped by (?:max_steps|early_stopping) with eval loss [\d.]+$/u,
    /^AbortError$/u,
    /^step 6$/u,
  ];
  const printed = stdout.trimEnd().split("\n");
  expect(printed).toHaveLength(lines.length);
  for (const [index, line] of lines.entries()) expect(printed[index]).toMatch(line);
  // As the page says of a run folder.
  const files = ["adapter", "checkpoint-6", "config.resolved.yaml", "env.json", "metrics.jsonl", "report.json"];
  expect(await readdir(join(folder, "runs/interrupted"))).toEqual(expect.arrayContaining([...files, "samples.jsonl"]));
});

test("the programs of docs/data.md train on what a function makes of rows, on answers only, on a stream, in stages, in an order of their own", async () => {
  const { stdout } = await run(await programsOf("docs/data.md"));
  expect(stdout).toMatch(
    /^2 rows of the format prompt-completion\n\d+ tokens are trained\n welcome<\|im_end\|> true\n\d+ rows of a stream without end were read\n2 steps, sums first\n2 steps, short rows first\n$/u,
  );
});

test("the program of docs/adapters.md trains the rows of new tokens", async () => {
  const { folder, stdout } = await run(await programsOf("docs/adapters.md"));
  expect(stdout).toBe("2 rows more in runs/sums/adapter\n");
  const config = JSON.parse(await readFile(join(folder, "runs/sums/adapter/adapter_config.json"), "utf8"));
  expect(config.trainable_token_indices).toEqual({ embed_tokens: [340, 341], lm_head: [340, 341] });
});

test("the programs of docs/callbacks.md watch a run and steer it", async () => {
  const programs = await programsOf("docs/callbacks.md");
  const { stdout } = await run(programs);
  const lines = [
    /^\d+ trainable parameters$/u,
    ...[1, 2, 3].map((step) => new RegExp(`^step ${step} of 3: loss [\\d.]+$`, "u")),
    /^runs\/watched$/u,
    /^step 2: ".*"$/u,
    /^step 4: ".*"$/u,
    /^\d steps, stopped by callback$/u,
    /^evaluated at step 1: [\d.]+$/u,
    /^saved .*runs\/epochs\/checkpoint-2$/u,
    /^answered hello at step 1$/u,
    /^true$/u,
    /^rate 0\.0005 from step 2$/u,
    /^3 steps, two of them counted before$/u,
    /^exact match [\d.]+$/u,
    /^\[callback "upload"\] expected no error on the event "log", got a promise that is still pending after 0\.1 seconds$/u,
    /^stopping$/u,
    /^stopped by callback$/u,
  ];
  const printed = stdout
    .trimEnd()
    .split("\n")
    .filter((line) => !/^evaluated at step [2-4]/u.test(line));
  expect(printed).toHaveLength(lines.length);
  for (const [index, line] of lines.entries()) expect(printed[index]).toMatch(line);
  // Short enough to be read at once.
  for (const program of programs) expect(program.split("\n").length).toBeLessThan(32);
});

test("the program of docs/evaluation.md measures a model next to its base", async () => {
  const { stdout } = await run(await programsOf("docs/evaluation.md"));
  expect(stdout).toMatch(
    /^loss: ([\d.]+) -> [\d.]+, difference within -[\d.e-]+,-[\d.e-]+\nperplexity: .*\ntokenAccuracy: .*\nexactMatch: .*\nrougeL: .*\nwords: .*\n.*\n$/u,
  );
});

test("the programs of docs/objectives.md minimise what is held against TRL's recorded values", async () => {
  const page = await readFile(join(root, "docs/objectives.md"), "utf8");
  for (const name of ["dft", "sigmoid-dpo"]) {
    const source = await readFile(join(root, `test/goldens/objectives/${name}.ts`), "utf8");
    // All of it but its first line and its import.
    expect(page).toContain(source.slice(source.indexOf("/**")).replace(/^export /mu, ""));
  }
  const { stdout } = await run(await programsOf("docs/objectives.md"));
  const [own, named, first, last, ...others] = stdout.trimEnd().split("\n");
  expect(own).toMatch(/^own {3}\d\.\d{4} \d\.\d{4} \d\.\d{4}$/u);
  expect(own?.slice(6)).toBe(named?.slice(6));
  expect(first).toBe("step 1: loss 0.69");
  expect(Number(/^step 12: loss (.*)$/u.exec(last ?? "")?.[1])).toBeLessThan(0.5);
  expect(others).toEqual([]);
});

test("the programs of docs/recipes.md train by a preset on a mix, split by user, and list learning rates", async () => {
  const { folder, stdout } = await run(await programsOf("docs/recipes.md"));
  expect(stdout).toMatch(
    /^prompt-completion: \d+ rows\ntext: \d+ rows\n\d+ held out, reward [\d.]+\n0\.000001 0\.000002 0\.000004 0\.000008 0\.000016 0\.000032 0\.000064\n$/u,
  );
  const config = await readFile(join(folder, "runs/instruct/config.resolved.yaml"), "utf8");
  for (const line of ["preset: instructGptSft", "residPdrop: 0.2", "numTrainEpochs: 2", "fullFinetuning: true"])
    expect(config).toContain(`${line}\n`);
});

test("the program of docs/grpo.md trains on its rewards, and keeps completions and rewards", async () => {
  const { folder, stdout } = await run(await programsOf("docs/grpo.md"));
  expect(stdout).toMatch(/^(?:step [123]: reward -?\d+\.\d\d\n){3}.*adapter\n$/u);
  const lines = async (name: string) =>
    (await readFile(join(folder, "runs/rewards", name), "utf8")).trimEnd().split("\n");
  expect(await lines("completions.jsonl")).toHaveLength(3 * 8);
  // Two functions on two prompts of each generation.
  expect(await lines("rewards.jsonl")).toHaveLength(3 * 2 * 2);
});

test("the program of docs/dpo.md prefers the chosen answers", async () => {
  const { stdout } = await run(await programsOf("docs/dpo.md"));
  const [first, last, folder, ...others] = stdout.trimEnd().split("\n");
  expect(first).toBe("step 1: loss 0.69, margin 0.00");
  expect(Number(/^step 8: loss .*, margin (.*)$/u.exec(last ?? "")?.[1])).toBeGreaterThan(0.5);
  expect(folder).toBe("runs/preferences/adapter");
  expect(others).toEqual([]);
});

test("the program of docs/self-instruct.md makes rows of seeds", async () => {
  const { folder, stdout } = await run(await programsOf("docs/self-instruct.md"));
  expect(stdout).toBe("Suggest a name for a boat.\n{ generated: 1, seeds: 2 }\n");
  const made = await readFile(join(folder, "made.jsonl"), "utf8");
  expect(made.trimEnd().split("\n")).toHaveLength(3);
  expect(made).toContain("The Patient Heron");
});

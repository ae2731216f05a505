import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { spawnCli } from "./testing/spawn-cli.ts";
import { tunesmith } from "./testing/tunesmith.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const model = join(root, "test/fixtures/models/llama");

describe("commands", () => {
  let folder: string;
  let data: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunesmith-cli-"));
    data = join(folder, "rows.jsonl");
    const rows = Array.from({ length: 12 }, (_, i) => ({
      messages: [
        { role: "user", content: `row ${i}` },
        { role: "assistant", content: "well done" },
      ],
    }));
    await writeFile(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const train = (...more: string[]) =>
    tunesmith([
      "train",
      "--model",
      model,
      "--data",
      data,
      "--output-dir",
      join(folder, "run"),
      "--max-steps",
      "2",
      ...more,
    ]);

  const adapter = join(root, "test/fixtures/goldens/llama/lora/adapter_end");

  test("merges an adapter, checks the logits, and refuses to write over what is there", async () => {
    const output = join(folder, "merged");
    const argv = [
      "merge",
      model,
      "--adapter",
      adapter,
      "--output",
      output,
      "--dtype",
      "float32",
      "--max-shard-size",
      "40KB",
    ];
    const { code, out } = await tunesmith(argv);
    expect(code).toBe(0);
    expect(out).toMatch(/merged .*merged \(float32, base original\)\n/u);
    expect(out).toMatch(/largest logit difference \S+ .*same likeliest token at 100\.0 % of \d+ positions/u);
    expect(await readdir(output)).toContain("model.safetensors.index.json");
    expect((await tunesmith(argv)).code).toBe(2);
    const { code: again, out: written } = await tunesmith([...argv, "--overwrite", "--no-check", "--base", "nf4"]);
    expect(again).toBe(0);
    expect(written).not.toContain("check");
    for (const wrong of [
      ["--dtype", "int4"],
      ["--max-shard-size", "many"],
      ["--base", "nf3"],
    ])
      expect((await tunesmith([...argv, ...wrong])).code).toBe(2);
    expect((await tunesmith(["merge", model])).err).toContain("--output");
  });

  test("exports GGUF files and adapters", async () => {
    const [output, lora] = [join(folder, "model.gguf"), join(folder, "lora.gguf")];
    const argv = ["export", "gguf", model, "--adapter", adapter];
    const exported = await tunesmith([...argv, "--output", output, "--quantization", "f16"]);
    expect(exported).toMatchObject({ code: 0, out: expect.stringMatching(/^written .*model\.gguf \(.* KiB\)\n$/u) });
    expect((await tunesmith(["chat", output, "--prompt", "Hi", "--max-new-tokens", "2"])).code).toBe(0);
    expect((await tunesmith([...argv, "--output", lora, "--lora"])).code).toBe(0);
    expect((await readFile(lora)).subarray(0, 4).toString()).toBe("GGUF");
    expect((await tunesmith(["export", "gguf", model, "--output", join(folder, "x"), "--lora"])).code).toBe(2);
    expect((await tunesmith([...argv, "--output", join(folder, "x"), "--quantization", "q4_k"])).code).toBe(2);
    const named = await tunesmith([
      ...argv,
      "--output",
      join(folder, "q.gguf"),
      "--quantization",
      "quantized",
      "--modelfile",
    ]);
    expect(named.out).toMatch(/q\.gguf .*\n.*q\.Modelfile\nnote .*quantized is Unsloth's name for q4_k_m/u);
    expect((await tunesmith(["chat", join(folder, "q.gguf"), "--prompt", "Hi", "--max-new-tokens", "2"])).code).toBe(0);
    const window = await tunesmith([
      "export",
      "gguf",
      join(root, "test/fixtures/models/mistral"),
      "--output",
      join(folder, "m.gguf"),
    ]);
    expect(window.out).toContain("sliding window");
  });

  test("trains, and talks to the result", async () => {
    const { code, out } = await train("--eval-data", data, "--eval_on_start");
    expect(code).toBe(0);
    expect(out).toMatch(/^tunesmith \d.*cpu/u);
    expect(out).toMatch(
      /step 2\/2 .*\n(.*\n)*done {3}2 steps(.*\n)*eval {3}loss \S+ before → \S+ after, perplexity \S+ → \S+\n/u,
    );
    const files = [
      "adapter",
      "checkpoint-2",
      "config.resolved.yaml",
      "env.json",
      "metrics.jsonl",
      "report.html",
      "report.json",
      "samples.jsonl",
    ];
    expect((await readdir(join(folder, "run"))).sort()).toEqual(files);
    const once = await tunesmith(["chat", join(folder, "run"), "--prompt", "row 1", "--max-new-tokens", "4"]);
    expect([once.code, once.err]).toEqual([0, ""]);
    const same = ["--model", model, "--adapter", join(folder, "run", "adapter")];
    const talk = await tunesmith(
      ["chat", same[1] as string, "--adapter", same[3] as string, "--max-new-tokens", "4"],
      "row 1\n/reset\nrow 1\n",
    );
    // The first line says what runs; then the same answer twice, since the conversation began again.
    expect(talk.out.split("\n").slice(1).join("\n")).toBe(once.out.repeat(2));
  });

  test("writes one event per line with --json, and nothing else on standard output", async () => {
    const { out, err } = await train("--json", "--max-length", "64");
    const events = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line).type)
      // On a busy machine a preparation may be long enough to be told of.
      .filter((type) => type !== "preparing");
    expect(events.join(" ")).toBe("prepared trainBegin epochBegin step log step epochEnd log checkpoint trainEnd done");
    expect(err).toContain("tunesmith");
  });

  test("takes options from a file, flags first", async () => {
    const config = join(folder, "train.yaml");
    await writeFile(
      config,
      `model: ${model}\ndata: ${data}\nlearning_rate: 0.5\nr: 4\noutput_dir: ${join(folder, "elsewhere")}\nmax_steps: 1\n`,
    );
    const { code } = await tunesmith(["train", "--config", config, "--learning-rate", "0.25"]);
    expect(code).toBe(0);
    expect(parse(await readFile(join(folder, "elsewhere", "config.resolved.yaml"), "utf8"))).toMatchObject({
      learningRate: 0.25,
      r: 4,
      maxSteps: 1,
    });
  });

  test("checks everything and makes nothing with --dry-run", async () => {
    const { code, out, err } = await train("--dry-run", "--r", "4");
    expect(code).toBe(0);
    // What runs here is told beside it, so that all of what is shown is YAML.
    expect(err).toMatch(/^tunesmith \S+, cpu/u);
    const shownRow = { tokens: 32, trainedTokens: 9, start: expect.stringContaining("row 0<|im_end|>") };
    expect(parse(out)).toMatchObject({
      options: { r: 4, maxSteps: 2 },
      model: { modelType: "llama" },
      totalSteps: 2,
      data: { rows: 12, kept: 12 },
      memory: { plan: { peak: expect.any(Number) } },
      firstBatch: { rows: expect.arrayContaining([{ ...shownRow, place: expect.stringMatching(/rows\.jsonl:1$/u) }]) },
      disk: { needed: expect.any(Number), free: expect.any(Number) },
      parameters: { trainable: expect.any(Number), share: expect.any(Number) },
      chatTemplateSha256: expect.stringMatching(/^[0-9a-f]{64}$/u),
    });
    expect(await readdir(folder)).toEqual(["rows.jsonl"]);
  });

  test("says with --dry-run what the run itself says of rows beyond the model's context", async () => {
    const messages = [
      { role: "user", content: "word ".repeat(2500) },
      { role: "assistant", content: "yes" },
    ];
    await writeFile(data, `${JSON.stringify({ messages })}\n`.repeat(3));
    const [dry, real] = [await train("--dry-run", "--max-length", "100000"), await train("--max-length", "100000")];
    expect([dry.code, dry.err]).toEqual([3, expect.stringContaining("within maxLength 256")]);
    expect([real.code, dry.err.split("\n").slice(1).join("\n")]).toEqual([dry.code, real.err]);
    expect(await readdir(folder)).toEqual(["rows.jsonl"]);
  });

  test.each([
    [["train"], 2, /--model/u],
    [["train", "--model", "m", "--data", "d", "--device", "gpu"], 2, /--device/u],
    [["train", "--model", "m", "--data", "d", "--threads", "0"], 2, /--threads/u],
    [["train", "--no-such"], 2, /unknown option/u],
    [["trian"], 2, /Did you mean train/u],
    [["train", "--model", "./missing", "--data", "d"], 1, /missing.*check the spelling/u],
    [["train", "--model", model, "--data", "./missing.jsonl"], 1, /missing\.jsonl/u],
    [["resume", "./missing"], 1, /run folder/u],
    [["chat", model, "--temperature", "hot"], 2, /temperature/u],
    [
      ["chat", model, "--prompt", "x", "--top-p", "7"],
      2,
      /\[--top-p\] expected a number above 0 and of at most 1, got 7; correct/u,
    ],
    [
      ["train", "--model", "m", "--data", "d", "--device", "cudaa"],
      2,
      /\[--device\] expected one of "auto", "cuda", "cpu", got "cudaa"; did you mean "cuda"/u,
    ],
  ])("refuses %j", async (argv, code, message) => {
    const result = await tunesmith(argv);
    expect([result.code, result.err]).toEqual([code, expect.stringMatching(message)]);
  });

  test("shows flags by group, each with its meaning and default", async () => {
    const { code, out } = await tunesmith(["train", "--help"]);
    expect(code).toBe(0);
    const groups = out.split("\n").filter((line) => /^\w+ options:$/u.test(line));
    expect(groups).toEqual(
      ["Run", "Data", "Optimizer", "Adapter", "Evaluation", "Samples", "Saving", "Memory"].map(
        (group) => `${group} options:`,
      ),
    );
    const of = (group: string) =>
      out
        .slice(out.indexOf(`${group} options:`))
        .split("\n\n")[0]
        ?.replaceAll(/\s+/gu, " ");
    expect(of("Run")).toMatch(/--config <file> .* --device <auto\|cuda\|cpu> Where to compute\. Default auto/u);
    expect(of("Data")).toContain("--max-length <number> Tokens that a row may have");
    expect(of("Optimizer")).toContain("--optim <adamw_torch|");
    expect(of("Memory")).toContain("--load-in-4bit [boolean] ");
  });

  test("tells the memory of a run without reading weights, and refuses what does not fit", {
    timeout: 120_000,
  }, async () => {
    const { code, out } = await tunesmith(["estimate", model, "--max-length", "64", "--r", "4"]);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^device +\w.*\nmodel .* parameters, .* trained\nlargest pass +\d+ tokens, sequences of 64\nweights /u,
    );
    const { out: line } = await tunesmith(["estimate", model, "--json", "--max-length", "64", "--r", "4"]);
    expect(JSON.parse(line)).toMatchObject({ fits: true, pass: { longest: 64 }, plan: { peak: expect.any(Number) } });
    const wide = ["--token-budget", "16000000", "--per-device-train-batch-size", "1000000"];
    const refused = await tunesmith(["estimate", model, ...wide]);
    expect(refused).toMatchObject({ code: 1, out: expect.stringContaining("does not fit: expected ") });
  });

  test("tells the largest batch and known GPUs, and measures a speed on request", { timeout: 120_000 }, async () => {
    const given = ["estimate", model, "--max-length", "32", "--r", "4", "--device", "cpu"];
    const { out } = await tunesmith(given);
    expect(out).toMatch(
      /\nlargest batch +at least 256 rows of 32 tokens in one pass \(perDeviceTrainBatchSize \d+, tokenBudget/u,
    );
    expect(out).toMatch(/\nknown GPUs +planned with the CPU's layout; .*\n {2}8 GB +fits \(RTX/u);
    expect(out).not.toMatch(/^speed/mu);
    const measured = [...given, "--max-steps", "10", "--calibrate"];
    const { out: said, code } = await tunesmith([...measured, "--usd-per-hour", "2"]);
    expect(code).toBe(0);
    expect(said).toMatch(
      /\nspeed +\S+ tokens\/s on cpu.*, measured in 5 passes of 8 rows of 32 tokens after 3 to warm up\n/u,
    );
    expect(said).toMatch(
      /\ntime +\S+ s for a step of 8 rows, 0:\d\d for 10 steps, .*\ncost +\$\S+ for a million tokens, /u,
    );
    const { speed, cost, fit } = JSON.parse((await tunesmith([...measured, "--usd-per-hour", "2", "--json"])).out);
    expect(fit.gpus).toHaveLength(11);
    expect(speed).toMatchObject({ rows: 8, stepRows: 8, warmPasses: 3, measuredPasses: 5 });
    expect(cost.run).toBeCloseTo((2 / 3600) * 10 * speed.stepSeconds, 12);
    expect(cost.perMillionTokens).toBeCloseTo(((2 / 3600) * 1e6) / speed.tokensPerSecond, 9);
    for (const [price, calibrate, message] of [
      ["two", ["--calibrate"], '[--usd-per-hour] expected a price in US dollars, got "two"'],
      ["-1", ["--calibrate"], "[--usd-per-hour] expected a price"],
      ["2", [], "add --calibrate"],
    ] as const) {
      const refused = await tunesmith([...given, ...calibrate, `--usd-per-hour=${price}`]);
      expect(refused).toMatchObject({ code: 2, err: expect.stringContaining(message) });
    }
  });

  test("exits with 3 for data that cannot be trained on, and makes no run folder", async () => {
    await writeFile(data, '{"messages":[{"role":"user","content":"alone"}]}\n');
    const { code, err } = await train();
    expect([code, err]).toEqual([3, expect.stringContaining("rows.jsonl:1")]);
    expect(await readdir(folder)).toEqual(["rows.jsonl"]);
  });

  test("exits with 2 for an adapter on no layer, and leaves no run folder", async () => {
    const { code, err } = await train("--target-modules", "p_proj");
    expect([code, err]).toEqual([2, expect.stringMatching(/^OptionError: .*q_proj.*got "p_proj"/u)]);
    expect(await readdir(folder)).toEqual(["rows.jsonl"]);
  });

  test("says of a finished run that is resumed that it is finished", async () => {
    await train();
    const { code, out } = await tunesmith(["resume", join(folder, "run")]);
    expect(code).toBe(0);
    expect(out).toMatch(/^warning: .*run: this run is finished; all its 2 steps were trained before/mu);
    expect(out).toMatch(/^finished before: 2 steps; nothing was trained now$/mu);
    expect(out).not.toMatch(/^done/mu);
  });

  test("goes on with more steps after the end of a run, and refuses by name what decides its numbers", async () => {
    await train();
    const run = join(folder, "run");
    const more = await tunesmith(["resume", run, "--max-steps", "3", "--logging-steps", "2"]);
    expect([more.code, more.out]).toEqual([0, expect.stringMatching(/phase 2 of this run: 1 step after step 2; its/u)]);
    const passes = await tunesmith(["resume", run, "--num-train-epochs", "9", "--schedule", "continue"]);
    expect([passes.code, passes.out]).toEqual([
      0,
      expect.stringMatching(/phase 3 of this run: \d+ steps after step 3; its learning/u),
    ]);
    // The next time nothing is said of the schedule, so it begins afresh again.
    expect((await tunesmith(["resume", run, "--max-steps", "20"])).out).toMatch(
      /phase 4 of this run: .* begin afresh/u,
    );
    expect(await tunesmith(["resume", run, "--max-steps", "99", "--seed", "1"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/seed \(was 3407, is 1\)/u),
    });
    expect(await tunesmith(["resume", run, "--output-dir", "elsewhere"])).toMatchObject({ code: 2 });
  });

  test("does not say of a merge without an adapter that it was compared", async () => {
    const { code, out } = await tunesmith(["merge", model, "--output", join(folder, "merged")]);
    expect([code, out]).toEqual([0, expect.stringMatching(/^check {4}none: without an adapter there is nothing/mu)]);
  });

  test("says how to go on when a run has no result yet", async () => {
    await train();
    await rm(join(folder, "run", "adapter"), { recursive: true });
    expect((await tunesmith(["chat", join(folder, "run"), "--prompt", "x"])).err).toContain("tunesmith resume");
  });

  test("saves at a signal, says how to go on, and goes on from there", { timeout: 120_000 }, async () => {
    const run = join(folder, "run");
    const argv = ["train", "--model", model, "--data", data, "--output-dir", run, "--max-steps", "100000", "--json"];
    const first = await interrupted(argv, "SIGINT");
    expect(JSON.parse(first.out.trimEnd().split("\n").at(-1) as string)).toMatchObject({
      type: "error",
      code: "ABORTED",
    });
    expect([first.code, first.err]).toEqual([130, expect.stringContaining(`tunesmith resume ${run}`)]);
    const saved = (await readdir(run)).filter((name) => name.startsWith("checkpoint-"));
    expect(saved).toHaveLength(1);
    const second = await interrupted(["resume", run, "--json"], "SIGTERM");
    expect(second.code).toBe(143);
    expect(`checkpoint-${JSON.parse(second.out.split("\n")[0] as string).step}`).toBe(saved[0]);
  });

  /** Runs a command line in a process of its own and sends a signal after its first step. */
  async function interrupted(argv: string[], signal: "SIGINT" | "SIGTERM") {
    const child = spawnCli(argv);
    const written = { out: "", err: "" };
    let sent = false;
    child.stdout?.on("data", (bytes: Buffer) => {
      written.out += bytes;
      if (!sent && written.out.includes('"type":"step"')) {
        sent = true;
        child.kill(signal);
      }
    });
    child.stderr?.on("data", (bytes: Buffer) => {
      written.err += bytes;
    });
    const [exit] = await once(child, "close");
    return { code: exit, ...written };
  }
});

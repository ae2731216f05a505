import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { spawnCli } from "./testing/spawn-cli.ts";

const model = resolve(import.meta.dirname, "../../../test/fixtures/models/llama");
const fullDisk = "/dev/full";

async function runOf(maxSteps: number) {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-cli-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const data = join(folder, "rows.jsonl");
  await writeFile(data, '{"prompt":"two and two is","completion":" four"}\n'.repeat(8));
  const run = join(folder, "run");
  const lengths = ["--max-steps", String(maxSteps), "--max-length", "64"];
  return { run, argv: ["train", "--model", model, "--data", data, "--output-dir", run, ...lengths, "--device", "cpu"] };
}

/** A stack trace, of whatever it tells. */
const trace = /^\s+at .*:\d+:\d+/mu;

describe("a run outlives its output", () => {
  test.each([[[]], [["--json"]]])("a reader that goes away, with %j", { timeout: 60_000 }, async (more) => {
    const { run, argv } = await runOf(30);
    const child = spawnCli([...argv, ...more]);
    child.stdout?.once("data", () => child.stdout?.destroy());
    const [err, [code, signal]] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, "exit")]);
    expect([code, signal, await readdir(run)]).toEqual([0, null, expect.arrayContaining(["adapter", "checkpoint-30"])]);
    expect(err).toMatch(/warning: standard output takes no more \(write EPIPE\); the run goes on without it\n$/u);
  });

  test.skipIf(!existsSync(fullDisk))("a full disk under it", { timeout: 60_000 }, async () => {
    const { run, argv } = await runOf(3);
    const child = spawnCli(argv, ["ignore", openSync(fullDisk, "w"), "pipe"]);
    const [err, [code]] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, "exit")]);
    expect([code, await readdir(run)]).toEqual([0, expect.arrayContaining(["adapter"])]);
    expect(err).toMatch(/standard output takes no more \(ENOSPC/u);
    expect(err).not.toMatch(trace);
  });

  test("a closed terminal saves", { timeout: 60_000 }, async () => {
    const { run, argv } = await runOf(100_000);
    const child = spawnCli([...argv, "--json"]);
    child.stdout?.on("data", (bytes: Buffer) => {
      if (bytes.includes('"type":"step"')) child.kill("SIGHUP");
    });
    expect(await once(child, "exit")).toEqual([129, null]);
    expect(await readdir(run)).toContainEqual(expect.stringMatching(/^checkpoint-\d+$/u));
  });
});

test.skipIf(!existsSync(fullDisk))(
  "what is only said is an error on a full disk, and none for a reader that has seen enough",
  {
    timeout: 60_000,
  },
  async () => {
    for (const argv of [
      ["train", "--help"],
      ["estimate", model],
    ]) {
      const child = spawnCli(argv);
      child.stdout?.destroy();
      const [err, [code]] = await Promise.all([text(child.stderr as NodeJS.ReadableStream), once(child, "exit")]);
      expect([code, err]).toEqual([0, ""]);
    }
    const estimate = spawnCli(["estimate", model], ["ignore", openSync(fullDisk, "w"), "pipe"]);
    const [said, [exit]] = await Promise.all([text(estimate.stderr as NodeJS.ReadableStream), once(estimate, "exit")]);
    expect([exit, said]).toEqual([
      1,
      expect.stringMatching(/^FileSystemError: \[standard output\] expected to be written, got ENOSPC/u),
    ]);
  },
);

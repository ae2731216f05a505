import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { stringify } from "yaml";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { spawnCli } from "../testing/spawn-cli.ts";
import { tunesmith } from "../testing/tunesmith.ts";

vi.setConfig({ testTimeout: 120_000 });

const tiny = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let [folder, data] = ["", ""];

beforeEach(async () => {
  folder = await scratchFolder(onTestFinished);
  data = join(folder, "rows.jsonl");
  const row = (n: number) => ({ prompt: `word ${n % 4}?`, completion: " heron" });
  await writeFile(data, Array.from({ length: 16 }, (_, n) => `${JSON.stringify(row(n))}\n`).join(""));
});

async function file(sweep: object, more: object = {}) {
  const path = join(folder, "sweep.yaml");
  const shared = {
    model: tiny,
    data,
    eval_data: data,
    output_dir: join(folder, "runs"),
    maxSteps: 4,
    evalSteps: 1,
    threads: 1,
  };
  await writeFile(path, stringify({ ...shared, saveSteps: 2, ...more, sweep }));
  return path;
}

const states = async () => {
  const { arms } = JSON.parse(await readFile(join(folder, "runs", "sweep.json"), "utf8"));
  return arms as {
    name: string;
    state: string;
    reason: string | null;
    evaluations: { step: number; evalLoss: number }[];
  }[];
};

test("every combination is trained, bad ones are stopped, and the table has the best first", async () => {
  const path = await file({ learningRate: [0.02, 0.01, 1e-9], r: [4] });
  const listed = await tunesmith(["sweep", path, "--dry-run"]);
  expect(listed.out).toMatch(/^sweep {4}3 arms in .*runs\n +arm-01 {2}learningRate 0\.02 {2}r 4\n +arm-02/u);
  const { code, out } = await tunesmith(["sweep", path]);
  expect(code).toBe(0);
  const arms = await states();
  expect(arms.map(({ state, evaluations }) => [state, evaluations.length])).toEqual([
    ["done", 4],
    ["done", 4],
    ["stopped", 2],
  ]);
  expect(arms[2]?.reason).toMatch(/^its lowest eval loss [\d.]+ is above [\d.]+, the median of 2 arms up to step 2$/u);
  const table = out.slice(out.indexOf("arm     learningRate"));
  expect(table).toMatch(/^arm +learningRate +r +eval loss +at step +state\narm-01 +0\.02 +4 +[\d.]+ +4 +done\n/u);
  expect(table).toMatch(/^arm-03 +1e-9 +4 +[\d.]+ +\d +stopped$/mu);
  expect(table).toMatch(/^next +tunesmith chat .*arm-01$/mu);
  // Done is done: nothing is trained again.
  const again = await tunesmith(["sweep", path, "--json"]);
  expect(again.err).not.toContain("step");
  expect(JSON.parse(again.out).arms).toEqual(arms);
  const other = await tunesmith(["sweep", await file({ learningRate: [0.03] })]);
  expect([other.code, other.err]).toEqual([2, expect.stringContaining("expected a folder without another sweep")]);
});

test("without the rule every arm is trained to its end, and an arm that fails does not end the sweep", async () => {
  const path = await file({ learningRate: [0.02, 0.01, 1e-9, 1e30] }, { maxSteps: 4 });
  const { code, out } = await tunesmith(["sweep", path, "--no-stop-bad-arms"]);
  const arms = await states();
  expect(arms.slice(0, 3).map(({ state, evaluations }) => [state, evaluations.length])).toEqual(
    Array(3).fill(["done", 4]),
  );
  expect([code, arms[3]?.state, arms[3]?.evaluations]).toEqual([1, "failed", []]);
  expect(out).toMatch(/^arm-04 +1e\+30 +4? *failed$/mu);
  expect(out).toMatch(/^failed {3}arm-04: \[train\] expected finite gradients/mu);
  expect((await tunesmith(["sweep", path, "--no-stop-bad-arms"])).code).toBe(1);
  expect(await states()).toEqual(arms);
});

test("Ctrl-C saves the arm in hand, and the same command goes on to what an uninterrupted sweep finds", async () => {
  const path = await file({ learningRate: [0.02, 0.01] }, { maxSteps: 12 });
  const child = spawnCli(["sweep", path]);
  let printed = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (text: Buffer) => {
      printed += text.toString();
      if (!child.killed && printed.includes("eval     step 2:")) child.kill("SIGINT");
    });
  const [code] = await once(child, "exit");
  expect([code, printed]).toEqual([130, expect.stringContaining("the same command goes on from here")]);
  expect((await states()).map(({ state }) => state)).toEqual(["running", "waiting"]);
  expect((await tunesmith(["sweep", path])).code).toBe(0);
  const resumed = await states();
  const whole = await file({ learningRate: [0.02, 0.01] }, { maxSteps: 12, output_dir: join(folder, "whole") });
  expect((await tunesmith(["sweep", whole])).code).toBe(0);
  const { arms } = JSON.parse(await readFile(join(folder, "whole", "sweep.json"), "utf8"));
  expect(resumed).toEqual(arms);
  expect(await readdir(join(folder, "runs"))).toEqual(["arm-01", "arm-02", "sweep.json"]);
});

test("a file that is no sweep is named", async () => {
  const wrong: [string, string][] = [
    [await file({}, { evalData: undefined, eval_data: undefined }), "expected held-out rows to compare arms by"],
  ];
  for (const [path, message] of wrong) expect((await tunesmith(["sweep", path])).err).toContain(message);
  const none = await file({ r: [1] }, { output_dir: null });
  expect((await tunesmith(["sweep", none])).err).toContain("expected outputDir, the folder of the sweep");
  const bad = await file({ r: [1] }, { learningRat: 3 });
  expect((await tunesmith(["sweep", bad])).err).toContain('did you mean "learningRate"?');
  expect((await tunesmith(["sweep", join(folder, "none.yaml")])).code).not.toBe(0);
  expect((await tunesmith(["sweep", "--help"])).out).toContain("tunesmith sweep sweep.yaml");
});

test("a file that names another trainer sweeps its options, and says which of them change what arms are compared by", async () => {
  const pair = (n: number) => ({ prompt: `word ${n % 4}?`, chosen: " heron", rejected: " a stone" });
  await writeFile(data, Array.from({ length: 8 }, (_, n) => `${JSON.stringify(pair(n))}\n`).join(""));
  const path = await file({ learningRate: [0.01, 1e-9] }, { trainer: "dpo", beta: 0.2, maxSteps: 2 });
  const { code, err } = await tunesmith(["sweep", path]);
  expect([code, err]).toEqual([0, ""]);
  expect((await states()).map(({ state }) => state)).toEqual(["done", expect.stringMatching(/^(?:done|stopped)$/u)]);
  expect(await readFile(join(folder, "runs", "arm-01", "config.resolved.yaml"), "utf8")).toMatch(/^trainer: dpo$/mu);
  const betas = await file({ beta: [0.1, 0.5] }, { trainer: "dpo", output_dir: join(folder, "betas") });
  expect((await tunesmith(["sweep", betas, "--dry-run"])).err).toContain("eval loss, which beta change");
  expect(await tunesmith(["sweep", await file({ beta: [0.1, 0.5] })])).toMatchObject({ code: 2 });
  const wrong = await file({ seed: [1] }, { trainer: "ppo" });
  expect((await tunesmith(["sweep", wrong])).err).toContain('expected trainer sft or dpo, got "ppo"');
});

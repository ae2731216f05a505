import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SelfInstructEvent } from "@tunesmith/sdk";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { scratchFolder } from "../../../core/src/testing/scratch.ts";
import { textServer } from "../../../core/src/testing/text-server.ts";
import { spawnCli } from "../testing/spawn-cli.ts";
import { tunesmith } from "../testing/tunesmith.ts";

const tiny = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
const command = ["synth", "self-instruct"];
let [seeds, output] = ["", ""];

beforeEach(async () => {
  const folder = await scratchFolder(onTestFinished);
  [seeds, output] = [join(folder, "seeds.jsonl"), join(folder, "rows.jsonl")];
  const tasks = ["Find a rhyme for the word.", "Name a bird that cannot fly."].map((instruction, n) => ({
    instruction,
    instances: [{ input: "", output: `answer ${n}` }],
    is_classification: false,
  }));
  await writeFile(seeds, tasks.map((task) => `${JSON.stringify(task)}\n`).join(""));
  vi.stubEnv("OPENAI_API_KEY", "sk-from-the-environment");
});

afterEach(() => vi.unstubAllEnvs());

const asked = ["Tell me how \u001b[31mcheese is made.", "List three uses of a spoon.", "Draw a map of the town."];

/** An endpoint that gives three instructions, then says no to labels, then gives one example each. */
function endpoint(wait = 0) {
  return textServer(onTestFinished, ({ body }, response) => {
    const stop = String(body.stop);
    const text = stop.includes("Example")
      ? "\nOutput: It depends."
      : stop.includes("Task:")
        ? "no"
        : asked.map((task, n) => `${n + 3}. ${task}`).join("\n");
    const answer = JSON.stringify({ choices: [{ message: { content: text }, finish_reason: "stop" }] });
    setTimeout(() => response.end(answer), wait);
    return undefined;
  });
}

const from = (baseUrl: string) => [
  "--endpoint",
  baseUrl,
  "--endpoint-model",
  "m",
  "--seeds",
  seeds,
  "--output",
  output,
];

test("an endpoint makes rows; the report counts every filter and says what to do next, and nothing shows the key", async () => {
  const server = await endpoint();
  const argv = [...command, ...from(server.baseUrl), "--num-instructions", "2", "--requests-per-batch", "1"];
  const { code, out, err } = await tunesmith(argv);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^instructions +1 request; 3 candidates, 2 kept$/mu);
  expect(out).toMatch(/^ {2}blocklist +1 {2}a word that is about more than text/mu);
  expect(out).toMatch(/^classification +2 requests; 2 candidates, 2 kept; 0 with labels, 2 without, 0 unclear$/mu);
  expect(out).toMatch(/^rows +4 candidates, 4 kept; 2 generated, 2 of 2 seeds$/mu);
  expect(out).toMatch(
    /^next +tunesmith doctor data .*rows\.jsonl\n +tunesmith train --model ORG\/NAME --data .*rows\.jsonl$/mu,
  );
  for (const secret of ["sk-from", "\u001b"]) expect(out).not.toContain(secret);
  expect(server.asked[0]?.key).toBe("Bearer sk-from-the-environment");
  expect((await readFile(output, "utf8")).trimEnd().split("\n")).toHaveLength(4);
  expect(await readFile(output.replace(".jsonl", ".journal.jsonl"), "utf8")).not.toContain("sk-from");
  const before = server.asked.length;
  expect((await tunesmith(argv)).out).toContain("2 generated");
  expect(server.asked).toHaveLength(before);
  const other = await tunesmith([...argv, "--seed", "7"]);
  expect([other.code, other.err]).toEqual([2, expect.stringContaining("the run that is there, seed 42, got 7")]);
});

test("--json gives every event, --without-filters lets through what a filter would drop", async () => {
  const { baseUrl } = await endpoint();
  const flags = [
    "--num-instructions",
    "3",
    "--without-filters",
    "blocklist,similar",
    "--include-seeds",
    "false",
    "--json",
  ];
  const { code, out, err } = await tunesmith([...command, ...from(baseUrl), ...flags]);
  expect(code).toBe(0);
  expect(err).toMatch(/^instructions/mu);
  const events = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as SelfInstructEvent);
  expect(events.flatMap((event) => (event.type === "instruction" ? [event.instruction] : []))).toEqual(asked);
  const last = events.at(-1);
  expect(last).toMatchObject({ type: "done", report: { rows: { generated: 3, seeds: 0 } } });
  expect(out).not.toContain("\u001b");
});

test("a model writes, with its options", async () => {
  const few = [
    "--num-instructions",
    "3",
    "--max-requests",
    "2",
    "--max-instruction-tokens",
    "12",
    "--requests-per-batch",
    "2",
  ];
  const argv = [...command, "--model", tiny, "--seeds", seeds, "--output", output, ...few, "--threads", "1"];
  const { code, out } = await tunesmith(argv);
  expect(code).toBe(0);
  expect(out).toMatch(/warning: \d instructions? of 3 after 2 requests, as many as maxRequests allows/u);
  expect(out).toContain(`tunesmith train --model ${tiny}`);
  const refused = await tunesmith([...argv.slice(0, -2), "--presence-penalty", "1"]);
  expect(refused.err).toContain("[presencePenalty] expected none, since a Tunesmith model has none");
});

test("Ctrl-C keeps what has been answered, and the same command goes on", async () => {
  const { baseUrl, asked: requests } = await endpoint(400);
  const argv = [...command, ...from(baseUrl), "--num-instructions", "2", "--requests-per-batch", "1"];
  const child = spawnCli(argv);
  let printed = "";
  child.stdout?.on("data", (text: Buffer) => {
    printed += text.toString();
  });
  await vi.waitUntil(() => requests.length === 3, { timeout: 20_000, interval: 20 });
  child.kill("SIGINT");
  const [code] = await once(child, "exit");
  expect(code).toBe(130);
  expect(printed).toContain("stopping: what has been answered is kept\nthe same command goes on from here\n");
  const before = requests.length;
  expect((await tunesmith(argv)).out).toContain("2 generated");
  // The one in hand is asked again.
  expect(requests.length - before).toBe(5 - 2);
}, 40_000);

test("wrong flags are named", async () => {
  const wrong: [string[], string][] = [
    [["--output", output, "--model", tiny], "[--seeds] expected a file of seed tasks"],
    [["--seeds", seeds, "--model", tiny], "[--output] expected the file of rows"],
    [["--seeds", seeds, "--output", output], "[--model] expected either --model or --endpoint"],
    [[...from("http://localhost:1"), "--model", tiny], "[--model] expected either --model or --endpoint"],
    [
      [...from("http://localhost:1"), "--adapter", "x", "--load-in-4bit"],
      "got --adapter, --load-in-4bit; leave them out",
    ],
    [[...from("http://localhost:1"), "--device", "cpu"], "got --device; leave them out, or give --model"],
    [["--seeds", seeds, "--output", output, "--endpoint", "http://localhost:1"], "--endpoint-model, got one of them"],
    [[...from("localhost")], "expected an address such as"],
    [[...from("http://localhost:1"), "--requests-per-minute", "many"], "requestsPerMinute"],
    [[...from("http://localhost:1"), "--without-filters", "simlar"], "--without-filters"],
    [
      ["--seeds", output, "--output", output, "--endpoint", "http://localhost:1", "--endpoint-model", "m"],
      "rows.jsonl",
    ],
  ];
  for (const [flags, message] of wrong) {
    const { code, err } = await tunesmith([...command, ...flags]);
    expect(code).not.toBe(0);
    expect(err).toContain(message);
  }
  expect((await tunesmith([...command, "--help"])).out).toContain("--num-instructions");
});

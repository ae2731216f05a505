import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { engineOptionsSchema, parseArgument } from "@tunesmith/core";
import { describe, expect, test } from "vitest";
import { aDay, trials, tried } from "../../core/src/testing/trials.ts";
import { fullSession, tinyModel } from "../test/fixture.ts";

const binding = join(import.meta.dirname, "../binding/index.cjs");

const options = parseArgument(engineOptionsSchema, { weights: {}, ...fullSession }, "test");

/** Opens the tiny model and a session as plain JavaScript, for processes and threads that know no TypeScript. */
const prelude = `
  const native = require(${JSON.stringify(binding)});
  const model = native.openModel(${JSON.stringify(tinyModel)}, { addTokens: [], addSpecialTokens: [] });
  const options = JSON.stringify(${JSON.stringify(options)});
  const open = async () => (await model).createSession({ device: "cpu", threads: 1 }, options);
  const row = Int32Array.of(1, 2, 3, 4);
  const batch = {
    inputIds: row, labels: row, positions: Int32Array.of(0, 1, 2, 3), sequenceStarts: Int32Array.of(0, 4), rowIds: Int32Array.of(0),
  };
  const evaluate = (session) => session.evaluate(batch, '{"type":"nll"}');
`;

const run = (code: string) =>
  promisify(execFile)(process.execPath, ["-e", prelude + code], { timeout: 30_000 * Math.max(1, trials(1) / 20) });

describe("a process", () => {
  test("exits by itself with a session open", async () => {
    const { stdout } = await run("open().then(evaluate).then((sums) => console.log(sums.tokens[0]))");
    expect(stdout.trim()).toBe("3");
  });

  test(
    "exits while calls are running when it is told to",
    async () => {
      for (let trial = 0; trial < trials(1); trial += 1) {
        const { stdout } = await run(`open().then((session) => {
        for (let n = 0; n < 500; n++) evaluate(session);
        setTimeout(() => { console.log("bye"); process.exit(0); }, ${(7 * trial) % 40});
      })`);
        expect(stdout.trim()).toBe("bye");
      }
      tried(trials(1));
    },
    aDay,
  );

  // Memory, handles and threads are read where the system lists them as files.
  test.runIf(process.platform === "linux")(
    "gives memory, handles and threads of disposed sessions back",
    async () => {
      const count = trials(200);
      const { stdout } = await run(`(async () => {
      const fs = require("fs");
      const anonymous = () => Number(/RssAnon:\\s+(\\d+)/.exec(fs.readFileSync("/proc/self/status", "utf8"))[1]);
      const entries = (name) => fs.readdirSync("/proc/self/" + name).length;
      const cycles = async (count) => {
        for (let n = 0; n < count; n++) {
          const session = await open();
          await evaluate(session);
          session.dispose();
        }
        await new Promise((wake) => setTimeout(wake, 50));
        return [anonymous(), entries("fd"), entries("task")];
      };
      const before = await cycles(50);
      const after = await cycles(${count});
      console.log(JSON.stringify(after.map((value, n) => value - before[n])));
    })()`);
      const [memory, handles, threads] = JSON.parse(stdout) as number[];
      tried(count, `${memory} KiB grown, ${handles} handles, ${threads} threads`);
      expect(memory, `KiB grown over ${count} sessions`).toBeLessThan(5 * 1024);
      expect(handles, "open handles").toBeLessThanOrEqual(0);
      expect(threads, "threads").toBeLessThanOrEqual(0);
    },
    aDay,
  );

  // Threads are counted where the system lists them as files.
  test.runIf(process.platform === "linux")(
    "sessions that are forgotten are freed by the garbage collector",
    async () => {
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [
          "--expose-gc",
          "-e",
          `${prelude} (async () => {
          const threads = () => require("fs").readdirSync("/proc/self/task").length;
          await evaluate(await open());
          const before = threads();
          for (let n = 0; n < 20; n++) await evaluate(await open());
          for (let n = 0; n < 50 && threads() > before; n++) { gc(); await new Promise((wake) => setTimeout(wake, 10)); }
          console.log(threads() - before <= 0 ? "freed" : threads() - before);
        })()`,
        ],
        { timeout: 30_000 },
      );
      expect(stdout.trim()).toBe("freed");
    },
  );
});

describe("worker threads", () => {
  const work = `${prelude}
    const { parentPort } = require("node:worker_threads");
    open().then(async (session) => { for (;;) parentPort.postMessage((await evaluate(session)).lossSum[0]); });`;

  test(
    "have sessions of their own, at once, and may be ended in the middle of a call",
    async () => {
      for (let trial = 0; trial < trials(1); trial += 1) {
        const workers = Array.from({ length: 3 }, () => new Worker(work, { eval: true }));
        const losses = await Promise.all(
          workers.map(
            (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject)),
          ),
        );
        expect(new Set(losses).size).toBe(1);
        await new Promise((wake) => setTimeout(wake, trial % 10));
        expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1, 1]);
      }
      tried(3 * trials(1));
    },
    aDay,
  );
});

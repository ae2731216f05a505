import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { aDay, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const program = resolve(import.meta.dirname, "training-process.ts");
/** Pairs of processes. */
const pairs = trials(2);
const steps = 60;

interface Ended {
  pid: number;
  code: number | null;
  out: string;
  err: string;
}

function start(folder: string): Promise<Ended> {
  const argv = ["--import", "tsx", program, smallModel("llama"), folder, String(steps)];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "pipe"] });
  const text = { out: "", err: "" };
  child.stdout.on("data", (piece) => {
    text.out += piece;
  });
  child.stderr.on("data", (piece) => {
    text.err += piece;
  });
  return new Promise((done) => child.once("close", (code) => done({ pid: child.pid ?? 0, code, ...text })));
}

/** The lock of a process that is not there. */
const staleLock = JSON.stringify({
  pid: 2 ** 30,
  host: hostname(),
  bootId: null,
  began: null,
  token: "0123456789ab-1",
  since: "2026-01-02T03:04:05.000Z",
});

test(
  "of two processes started together in one folder one trains and the other is refused by its name",
  async () => {
    for (let pair = 0; pair < pairs; pair += 1) {
      const folder = join(temporaryFolder(), "run");
      // Every second pair finds what a killed run has left.
      if (pair % 2 === 1) {
        mkdirSync(folder);
        writeFileSync(join(folder, ".lock"), staleLock);
      }
      const ended = await Promise.all([start(folder), start(folder)]);
      const [winner, ...others] = ended.filter(({ code }) => code === 0);
      const loser = ended.find(({ code }) => code !== 0);
      expect(others, ended.map(({ err }) => err).join("\n")).toEqual([]);
      expect(loser?.err).toContain("LockedError");
      expect(loser?.err).toContain(`got process ${winner?.pid} on ${hostname()}`);
      expect(loser?.out).toBe("");
      expect(existsSync(join(folder, "adapter/adapter_model.safetensors"))).toBe(true);
      const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
      expect(lines.map((line) => JSON.parse(line).step)).toEqual(Array.from({ length: steps }, (_, n) => n + 1));
      expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
    }
    tried(pairs);
  },
  aDay,
);

// The load part of `npm run bench -- formats`: model files into float32 in memory, compared with Python's safetensors and gguf, one load of each in turn.
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { peerPython } from "../training/comparison.ts";

const repository = resolve(import.meta.dirname, "../..");
const files = [
  "model-f32.safetensors",
  "model-bf16.safetensors",
  "model-f16.gguf",
  "model-q8_0.gguf",
  "model-q4_0.gguf",
];

interface Load {
  seconds: number;
  elements: number;
  sum: number;
}

/** What loading one file took on both sides; rates count the bytes of the file. */
export interface LoadResult {
  file: string;
  bytes: number;
  elements: number;
  tunesmith_gb_per_s: number;
  peer_gb_per_s: number | null;
  /** How many times as fast as the peer, of the medians. */
  ratio: number | null;
  tunesmith_seconds: number[];
  peer_seconds: number[];
}

/** A program that loads a file whenever it is sent a line. */
class Loader {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(
    readonly command: string,
    args: readonly string[],
  ) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async load(): Promise<Load> {
    this.#child.stdin.write("\n");
    const { value, done } = await this.#lines.next();
    if (done === true)
      throw new Error(`[bench formats] expected a line from ${this.command}, got the end of its output`);
    return JSON.parse(value) as Load;
  }

  end(): void {
    this.#child.stdin.end();
  }
}

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? Number.NaN;

/** The example `load_rate`, built. */
async function program(): Promise<string> {
  const { hostTriple } = (await import("../../scripts/lib/shell.mjs")) as { hostTriple: () => string };
  const target = ["--release", "--locked", "--target", hostTriple()];
  const built = ["build", "--quiet", ...target, "-p", "tunesmith-formats", "--example", "load_rate"];
  const lines = execFileSync("cargo", [...built, "--message-format=json"], { cwd: repository, encoding: "utf8" });
  const artifacts = lines.split("\n").filter((line) => line.includes('"load_rate"'));
  const path = artifacts.map((line) => (JSON.parse(line) as { executable?: string | null }).executable);
  const found = path.find((executable) => typeof executable === "string");
  if (typeof found !== "string") throw new Error("[bench formats] expected cargo to name the example, got none");
  return found;
}

async function compare(ours: string, python: string | null, path: string, file: string): Promise<LoadResult> {
  const repeats = 7;
  const left = new Loader(ours, ["load", path]);
  const right =
    python === null ? null : new Loader(python, [resolve(import.meta.dirname, "../peers/load_rate.py"), path]);
  const [first, other] = [await left.load(), await right?.load()];
  if (other !== undefined && !(first.elements === other.elements && Math.abs(first.sum / other.sum - 1) < 1e-6))
    throw new Error(`[bench formats] expected equal values of ${file}, got sums ${first.sum} and ${other.sum}`);
  const [mine, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < repeats; round += 1) {
    mine.push((await left.load()).seconds);
    if (right !== null) theirs.push((await right.load()).seconds);
  }
  left.end();
  right?.end();
  const { size } = statSync(path);
  const rate = (seconds: readonly number[]) => size / 1e9 / median(seconds);
  return {
    file,
    bytes: size,
    elements: first.elements,
    tunesmith_gb_per_s: rate(mine),
    peer_gb_per_s: right === null ? null : rate(theirs),
    ratio: right === null ? null : median(theirs) / median(mine),
    tunesmith_seconds: mine,
    peer_seconds: theirs,
  };
}

/** Loads files of about 75 million weights in every type, from the page cache, on one thread per side. */
export async function load(): Promise<LoadResult[]> {
  const [ours, python] = [await program(), peerPython("Python safetensors and gguf")];
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-load-"));
  try {
    execFileSync(ours, ["write", folder]);
    const results: LoadResult[] = [];
    for (const file of files) {
      const result = await compare(ours, python, join(folder, file), file);
      const peer = result.peer_gb_per_s?.toFixed(2) ?? "-";
      console.log(
        `load ${file.padEnd(24)} ${result.tunesmith_gb_per_s.toFixed(2).padStart(6)} GB/s   Python ${peer.padStart(6)} GB/s   ratio ${result.ratio?.toFixed(2) ?? "-"}`,
      );
      results.push(result);
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

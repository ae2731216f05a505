// `npm run bench -- optimizers`: a step of each optimizer for an adapter of an 8B model and for all weights of SmolLM2-135M, beside
// torch's fastest form, bitsandbytes on the CPU, and what the machine's memory gives the same streams.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { machine } from "../machine.ts";
import { peerPython } from "../training/comparison.ts";
import { Program } from "./program.ts";

const repository = resolve(import.meta.dirname, "../..");
const shapes = join(repository, "benchmarks/shapes.json");

/** What is trained. */
const sets = [
  { set: "adapter of rank 16, Llama-3.1-8B", model: "llama-3.1-8b", whole: false },
  { set: "all weights, SmolLM2-135M", model: "smollm2-135m", whole: true },
] as const;

/**
 * Optimizers: the kernel benchmark's stem and case, the arrays besides gradient and parameter that it streams in float32 (null where its
 * streams are not float32), and the forms of the peers.
 */
const optimizers = [
  { name: "adamw", stem: "adamw", case: "adamw", streams: 2, peers: ["torch fused", "torch foreach"] },
  { name: "sgd", stem: "sgd", case: "sgd", streams: 1, peers: ["torch fused", "torch foreach"] },
  {
    name: "lion",
    stem: "elementwise_step",
    case: "elementwise_step lion",
    streams: 1,
    peers: ["torch foreach", "bitsandbytes"],
  },
  { name: "adamw_8bit", stem: "blockwise_step", case: "blockwise_step adamw", streams: null, peers: ["bitsandbytes"] },
  { name: "lion_8bit", stem: "blockwise_step", case: "blockwise_step lion", streams: null, peers: ["bitsandbytes"] },
  { name: "adafactor", stem: "adafactor", case: "adafactor", streams: null, peers: ["torch foreach"] },
] as const;

type Optimizer = (typeof optimizers)[number];
type TrainedSet = (typeof sets)[number];

/** Rounds of samples: at most so many, and none begins after so many seconds. A peer may need all of them for one step. */
const rounds = { most: 12, seconds: 5 };

/** Bytes of 8-bit states a parameter, both of AdamW's: a byte each, float32 scales of blocks of 256; small tensors in float32. */
export function stateBytes(lengths: readonly number[]): number {
  const bytes = lengths.map((length) => (length < 4096 ? 8 * length : 2 * (length + 4 * Math.ceil(length / 256))));
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
  return sum(bytes) / sum(lengths);
}

/** Sizes of a model in shapes.json. */
interface Sizes {
  layers: number;
  hidden: number;
  intermediate: number;
  heads: number;
  kv_heads: number;
  head_dim: number;
  vocabulary: number;
}

/** Lengths of the trained tensors, as benchmarks/kernels/bench/model.rs has them. */
export function lengthsOf(sizes: Sizes, whole: boolean): number[] {
  const { hidden, intermediate, vocabulary, layers } = sizes;
  const [query, key] = [sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim];
  const linears = [
    [query, hidden],
    [key, hidden],
    [key, hidden],
    [hidden, query],
  ] as [number, number][];
  linears.push([intermediate, hidden], [intermediate, hidden], [hidden, intermediate]);
  const repeated = (layer: number[]) => Array.from({ length: layers }, () => layer).flat();
  if (!whole) return repeated(linears.flatMap(([out, into]) => [16 * into, 16 * out]));
  return [vocabulary * hidden, hidden, ...repeated([...linears.map(([out, into]) => out * into), hidden, hidden])];
}

/** The benchmark. */
export async function optimizerSteps(only: string): Promise<Record<string, unknown>> {
  const { hostTriple } = (await import("../../scripts/lib/shell.mjs")) as { hostTriple: () => string };
  const target = ["--release", "--locked", "--target", hostTriple(), "-p", "tunesmith-kernels"];
  const built = spawnSync("cargo", ["build", "--quiet", ...target], { cwd: repository, stdio: "inherit" });
  if (built.status !== 0) throw new Error(`[optimizers] expected the benchmark to build, got exit ${built.status}`);
  const binary = join(repository, "target", hostTriple(), "release/tunesmith-kernels");
  const python = peerPython("torch and bitsandbytes");
  const results = [];
  for (const trained of sets)
    for (const optimizer of optimizers)
      if (optimizer.name.includes(only)) results.push(await compared(trained, optimizer, binary, python));
  const models = JSON.parse(readFileSync(shapes, "utf8")) as Record<string, Sizes>;
  const states = sets.map(({ set, model, whole }) => {
    const bytes = stateBytes(lengthsOf(models[model] as Sizes, whole));
    console.log(`${set}: states of adamw_8bit ${bytes.toFixed(3)} bytes a parameter (goal: at most 2.1)`);
    return { set, adamw_8bit_state_bytes_a_parameter: bytes };
  });
  return { benchmark: "optimizers", machine: machine(), results, states };
}

const fastest = (samples: readonly number[]) => Math.min(...samples);

/** One optimizer on one set, all programs sampled in turn. */
async function compared(trained: TrainedSet, optimizer: Optimizer, binary: string, python: string | null) {
  const { set, model, whole } = trained;
  const start = (name: string, command: string, args: string[]) => new Program(name, command, args, repository);
  const sizes = ["--model", model, ...(whole ? ["--whole"] : []), "--interleaved"];
  const ours = start("tunesmith", binary, [optimizer.stem, "--case", optimizer.case, ...sizes]);
  const { bytes = Number.NaN } = await ours.ready();
  const others: Program[] = [];
  if (optimizer.streams !== null)
    others.push(start("memory", binary, ["streams", "--case", `streams ${optimizer.streams}`, ...sizes]));
  const script = join(repository, "benchmarks/peers/optimizers.py");
  for (const form of python === null ? [] : optimizer.peers)
    others.push(
      start(form, python as string, [script, shapes, model, whole ? "whole" : "adapter", optimizer.name, form]),
    );
  const amounts = new Map<string, number>();
  for (const other of others) amounts.set(other.name, (await other.ready()).bytes ?? Number.NaN);
  const began = performance.now();
  for (let round = 0; round < rounds.most; round += 1) {
    if (round > 0 && performance.now() - began > 1000 * rounds.seconds) break;
    for (const program of [ours, ...others]) await program.sample();
  }
  for (const program of [ours, ...others]) await program.end();
  return told(set, optimizer, bytes, ours, others, amounts);
}

/** A result as a record and as a line. */
function told(
  set: string,
  optimizer: Optimizer,
  bytes: number,
  ours: Program,
  others: readonly Program[],
  amounts: ReadonlyMap<string, number>,
) {
  const own = fastest(ours.samples);
  const rate = bytes / own / 1e6;
  const memory = others.find(({ name }) => name === "memory");
  const memoryRate = memory === undefined ? null : (amounts.get("memory") as number) / fastest(memory.samples) / 1e6;
  const peers = others
    .filter((other) => other !== memory)
    .map(({ name, samples }) => ({ name, ms: fastest(samples), times_ours: fastest(samples) / own, samples }));
  const shown = peers.map(({ name, ms, times_ours }) => `${name} ${ms.toFixed(1)} ms (${times_ours.toFixed(2)} x)`);
  const share = memoryRate === null ? "" : `, ${((100 * rate) / memoryRate).toFixed(0)} % of ${memoryRate.toFixed(1)}`;
  console.log(
    `${optimizer.name.padEnd(11)} ${set.padEnd(34)} ${own.toFixed(1).padStart(8)} ms, ${rate.toFixed(1)} GB/s${share}; ${shown.join(", ")}`,
  );
  return {
    optimizer: optimizer.name,
    set,
    ms: own,
    gigabytes_per_second: rate,
    memory_gigabytes_per_second: memoryRate,
    share_of_memory: memoryRate === null ? null : rate / memoryRate,
    samples: ours.samples,
    peers,
  };
}

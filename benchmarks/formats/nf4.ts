// NF4 in gigabytes a second on one thread: quantising and dequantising, compared with a plain copy and with bitsandbytes on the same
// shapes.
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { peerPython } from "../training/comparison.ts";

const repository = resolve(import.meta.dirname, "../..");

/** Bytes of the float32 matrix, and of the codes and scales, over the fastest run. */
interface Rate {
  case: string;
  rate: number;
  fastest_ms: number;
}

/** Runs the kernel benchmark of the stem and its peer, one thread each. */
export async function nf4(model = "tinyllama-1.1b"): Promise<Record<string, unknown>> {
  const { hostTriple } = (await import("../../scripts/lib/shell.mjs")) as { hostTriple: () => string };
  const cargo = ["run", "--quiet", "--release", "--locked", "--target", hostTriple(), "-p", "tunesmith-kernels", "--"];
  const ours = lines("cargo", [...cargo, "nf4", "--model", model, "--tokens", "64", "--threads", "1", "--json"]);
  const python = peerPython("bitsandbytes");
  const script = resolve(repository, "benchmarks/peers/bnb_nf4.py");
  const shapes = resolve(repository, "benchmarks/shapes.json");
  const peer = python === null ? [] : lines(python, [script, shapes, model]);
  // Matrices that fit a cache are copied within it; the machine's own rate is that of the largest.
  const memory = Math.min(...ours.filter(({ case: name }) => name.startsWith("copy ")).map(({ rate }) => rate));
  const find = (rates: Rate[], name: string) => rates.find((rate) => rate.case === name)?.rate ?? null;
  const results = ours
    .filter(({ case: name }) => name.startsWith("copy "))
    .map(({ case: name, rate: copy }) => {
      const layer = name.slice("copy ".length);
      const [quantize, dequantize] = [find(ours, `nf4_quantize ${layer}`), find(ours, `nf4_dequantize ${layer}`)];
      return {
        layer,
        copy,
        quantize,
        dequantize,
        dequantize_of_memory: dequantize === null ? null : dequantize / memory,
        bitsandbytes_quantize: find(peer, `quantize ${layer}`),
        bitsandbytes_dequantize: find(peer, `dequantize ${layer}`),
      };
    });
  console.log(`a copy through memory: ${memory.toFixed(2)} GB/s`);
  for (const { layer, copy, quantize, dequantize, dequantize_of_memory: share, ...theirs } of results) {
    const shown = (value: number | null) => (value === null ? "-" : value.toFixed(2)).padStart(6);
    console.log(
      `${layer.padEnd(10)} GB/s: copy ${shown(copy)}  dequantise ${shown(dequantize)} (${shown(share)} of memory's, bitsandbytes ${shown(theirs.bitsandbytes_dequantize)})  quantise ${shown(quantize)} (bitsandbytes ${shown(theirs.bitsandbytes_quantize)})`,
    );
  }
  return {
    model,
    threads: 1,
    memory_copy: memory,
    unit: "GB/s: bytes read and written, float32 and NF4 together; quantising: bytes read",
    results,
  };
}

function lines(command: string, argv: string[]): Rate[] {
  const { status, stdout } = spawnSync(command, argv, {
    cwd: repository,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`[nf4] expected ${command} to succeed, got exit ${status}`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Rate);
}

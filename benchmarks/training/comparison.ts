// One training benchmark on both sides: the peer's environment, what both start from, steps in turn, and the figures.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parameterKinds } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { Side } from "./side.ts";
import type { Spec, StepLine } from "./spec.ts";

const here = import.meta.dirname;
/** Rank of the adapters. */
export const rank = 16;
/** Losses of a 32-bit run agree to this before a speed is printed; bfloat16 rounds to about three digits. */
const lossTolerance = { float32: 1e-4, bfloat16: 2e-2 };

/** Both sides of a case. */
export interface Comparison {
  batch: number;
  peer_dtype: Spec["dtype"];
  peer_attention: Spec["attention"];
  tunesmith: Figures;
  peer: Figures | null;
  /** Useful tokens per second, ours over the peer's: of the medians. Null without a peer. */
  ratio: number | null;
  first_loss_difference: number | null;
}

/** What was measured of one side. */
export interface Figures {
  tokens_per_second: number;
  tokens_per_second_best: number;
  peak_bytes: number;
  first_step_seconds: number;
  first_loss: number;
  step_seconds: number[];
}

/** The peers' interpreter, or null with a line that says what is not measured. */
export function peerPython(what: string): string | null {
  const folder = process.env.TUNESMITH_PEER_ENV;
  const python = folder === undefined ? null : join(folder, "bin/python");
  if (python !== null && existsSync(python)) return python;
  console.log(
    `skipped: ${what} (TUNESMITH_PEER_ENV names no environment; node benchmarks/peers/setup-peers.mjs makes one)`,
  );
  return null;
}

/** The same weights as a Hugging Face folder, which is what the peer reads. */
export function convert(python: string, gguf: string, work: string): string {
  const folder = join(process.env.TUNESMITH_PEER_ENV as string, "smollm2-135m-hf");
  if (existsSync(join(folder, "model.safetensors")) && readdirSync(folder).includes("tokenizer.json")) return folder;
  const partial = join(work, "hf");
  const { status } = spawnSync(python, [resolve(here, "../peers/gguf_to_hf.py"), gguf, partial], { stdio: "inherit" });
  if (status !== 0) throw new Error(`[bench] expected gguf_to_hf.py to succeed, got exit ${status}`);
  spawnSync("cp", ["-r", partial, folder]);
  return folder;
}

/** A new adapter on all seven linear layers, from which both sides start. */
export async function startingAdapter(model: string, folder: string): Promise<string> {
  mkdirSync(folder);
  const language = await loadModel(model);
  const session = await language.createSession({
    adapter: { type: "lora", r: rank, loraAlpha: rank },
    optimizer: { type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    parameterGroups: [{ name: "all", parameters: [...parameterKinds], rate: 0, decay: 0 }],
    gradientCheckpointing: false,
    seed: 3407,
  });
  await session.saveAdapter(folder);
  session.dispose();
  return folder;
}

/** One step of each side in turn, after first losses that agree. */
export async function compare(spec: Spec, steps: number, python: string | null, work: string): Promise<Comparison> {
  const file = join(work, "spec.json");
  writeFileSync(file, JSON.stringify(spec));
  const ours = await Side.start("tunesmith", process.execPath, [
    "--import",
    "tsx",
    join(here, "tunesmith-sft.ts"),
    file,
  ]);
  const peer =
    python === null
      ? null
      : await Side.start("torch", python, [resolve(here, "../peers/torch_sft.py"), file, "--stdin"]);
  const difference =
    peer === null ? null : Math.abs((ours.steps[0] as StepLine).loss / (peer.steps[0] as StepLine).loss - 1);
  if (difference !== null && !(difference <= lossTolerance[spec.dtype])) {
    throw new Error(
      `[bench] expected equal first losses, got ${ours.steps[0]?.loss} and ${peer?.steps[0]?.loss}; the two sides do not compute the same`,
    );
  }
  for (let step = 0; step < steps; step += 1) {
    await ours.step();
    await peer?.step();
  }
  await ours.end();
  await peer?.end();
  const [a, b] = [figures(ours), peer === null ? null : figures(peer)];
  return {
    batch: spec.batch_size,
    peer_dtype: spec.dtype,
    peer_attention: spec.attention,
    tunesmith: a,
    peer: b,
    ratio: b === null ? null : a.tokens_per_second / b.tokens_per_second,
    first_loss_difference: difference,
  };
}

/** The first step is not counted: it allocates and warms up. Rates are tokens over time, step by step, then the median. */
function figures(side: Side): Figures {
  const counted = side.steps.slice(1);
  const rates = counted.map(({ useful_tokens: tokens, seconds }) => tokens / seconds).sort((x, y) => x - y);
  return {
    tokens_per_second: rates[Math.floor(rates.length / 2)] as number,
    tokens_per_second_best: rates.at(-1) as number,
    peak_bytes: side.peakBytes,
    first_step_seconds: side.firstStepSeconds,
    first_loss: (side.steps[0] as StepLine).loss,
    step_seconds: counted.map(({ seconds }) => seconds),
  };
}

/** One line a side. */
export function show({
  batch,
  peer_dtype: dtype,
  peer_attention: attention,
  tunesmith,
  peer,
  ratio,
}: Comparison): void {
  const line = (
    name: string,
    { tokens_per_second: rate, tokens_per_second_best: best, peak_bytes: peak, first_step_seconds: first }: Figures,
  ) =>
    `${name.padEnd(28)} batch ${batch}  ${rate.toFixed(0).padStart(5)} tokens/s (best ${best.toFixed(0)})  peak ${(peak / 2 ** 30).toFixed(2)} GiB  first step ${first.toFixed(1)} s`;
  console.log(line("tunesmith float32", tunesmith));
  if (peer !== null) console.log(`${line(`torch ${dtype} ${attention}`, peer)}  ratio ${ratio?.toFixed(2)}`);
}

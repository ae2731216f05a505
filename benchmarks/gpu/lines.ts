// The lines that run.sh writes, as far as the summary reads them.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Milliseconds, or rates, over the samples of a case. */
export interface Quantiles {
  p20: number;
  median: number;
  p80: number;
}

/** One line; which keys it has depends on its part. */
export interface Line {
  part: string;
  /** Why there is no figure; of a golden, how far it is off. */
  error?: string | number;
  toy?: boolean;
  // run, machine, peers
  commit?: string;
  date?: string;
  backend?: string;
  nvidia_smi?: string;
  device?: string;
  // end
  name?: string;
  exit?: number;
  seconds?: number;
  // ceiling
  ceiling?: string;
  bytes_per_second?: number;
  flops_per_second?: number | Quantiles;
  // conformance, golden
  stem?: string;
  dtype?: string;
  cases?: number;
  failed?: number;
  stopped?: string | null;
  case?: string;
  verdict?: string;
  // sanitizer
  tool?: string;
  summary?: string;
  // kernel
  side?: string;
  model?: string;
  tokens?: number;
  median_ms?: number;
  fastest_ms?: number;
  bytes?: number;
  flops?: number;
  // training
  scenario?: string;
  workload?: string;
  gradient_checkpointing?: boolean;
  interleaved?: boolean;
  step_ms?: Quantiles;
  useful_tokens_per_second?: Quantiles;
  peak_bytes?: number | null;
  seconds_to_first_step?: number;
  first_loss?: number;
  first_loss_difference?: number;
}

/** Every line of a results folder; a line that is no JSON object is an error with its number. */
export function readLines(folder: string): Line[] {
  return parseLines(readFileSync(join(folder, "results.jsonl"), "utf8"));
}

/** The lines of a text. */
export function parseLines(text: string): Line[] {
  return text
    .split("\n")
    .map((line, index) => ({ line, place: index + 1 }))
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, place }) => {
      try {
        return JSON.parse(line) as Line;
      } catch (error) {
        throw new Error(`[results.jsonl:${place}] expected a JSON object, got ${JSON.stringify(line.slice(0, 60))}`, {
          cause: error,
        });
      }
    });
}

// `npm run bench -- data`: rows tokenised, masked and packed, compared with datasets and TRL, and with the tokenizers library alone.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";
import { convert, peerPython } from "../training/comparison.ts";
import { writeRows } from "./rows.ts";

/** What one preparation took. */
interface Measured {
  seconds: number;
  rows: number;
  tokens: number;
  packed_rows?: number;
  peak_rss_bytes: number;
  /** Longest time that the event loop was held, in milliseconds: rows prepared and packed, orders of an epoch made. Ours alone. */
  longest_pause_ms?: number;
}

const here = import.meta.dirname;

/** The last line that a program writes. */
function measure(command: string, args: readonly string[]): Measured {
  const output = execFileSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 1 << 28,
  });
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Measured;
}

/** Prepares `count` rows on both sides, one after the other; token counts must agree. Then ten times as many short ones, by ours alone. Says how long the event loop was held at most. */
export async function data(count: number): Promise<Record<string, unknown>> {
  const model = findSmollm2();
  if (model === null) throw new Error("[bench data] expected SmolLM2-135M, got no file; run npm run quickstart once");
  const work = mkdtempSync(join(tmpdir(), "tunesmith-data-"));
  try {
    const rows = join(work, "rows.jsonl");
    await writeRows(rows, count);
    const cache = join(work, "cache");
    const results: Record<string, Measured> = {
      tunesmith: ours(rows, model),
      tunesmith_first_run_with_cache: ours(rows, model, cache),
      tunesmith_second_run: ours(rows, model, cache),
    };
    const python = peerPython("datasets, TRL and tokenizers");
    if (python !== null) {
      const folder = convert(python, model, work);
      const peer = (what: string) => measure(python, [resolve(here, "../peers/trl_data.py"), rows, folder, what]);
      Object.assign(results, {
        tokenizers_alone: peer("tokenizers"),
        trl_1_process: peer("1"),
        trl_2_processes: peer("2"),
      });
      // What else happened on the machine may have happened to one of them.
      results.tunesmith_again = ours(rows, model);
    }
    const tenTimes = await manyRows(10 * count, model, work);
    return { benchmark: "data", machine: machine(), bytes: statSync(rows).size, ...report(results), tenTimes };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function ours(rows: string, model: string, ...cache: string[]): Measured {
  return measure("node", ["--import", "tsx", join(here, "tunesmith-data.ts"), rows, model, ...cache]);
}

/** Short rows, prepared once and taken from the cache then. */
async function manyRows(count: number, model: string, work: string) {
  const rows = join(work, "many.jsonl");
  await writeRows(rows, count, "short");
  const cache = join(work, "many-cache");
  const results = { first_run: ours(rows, model, cache), second_run: ours(rows, model, cache) };
  return { bytes: statSync(rows).size, ...report(results) };
}

function report(results: Readonly<Record<string, Measured>>): Record<string, unknown> {
  const [first] = Object.values(results);
  const { tokens, seconds: mine } = first as Measured;
  for (const [name, result] of Object.entries(results)) {
    const { rows, seconds, tokens: counted, peak_rss_bytes: peak, longest_pause_ms: pause } = result;
    if (counted !== tokens) throw new Error(`[bench data] expected ${tokens} tokens of ${name} too, got ${counted}`);
    const rate = Math.round(rows / seconds);
    console.log(
      `${name.padEnd(32)} ${String(rate).padStart(8)} rows/s  ${(peak / 1e6).toFixed(0).padStart(6)} MB  ${(seconds / mine).toFixed(2).padStart(6)} of ours${pause === undefined ? "" : `  longest pause ${pause.toFixed(0)} ms`}`,
    );
  }
  return { results };
}

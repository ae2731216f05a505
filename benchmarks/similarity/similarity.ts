// `npm run bench -- similarity`: near duplicates compared with datasketch, a pool of instructions with rouge_score, on the same texts.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type NearDuplicatePair, similarity as tunesmith } from "@tunesmith/sdk";
import { machine } from "../machine.ts";
import { peerPython } from "../training/comparison.ts";
import { instructions, rows } from "./rows.ts";

const pool = 50_000;
/** Candidates on our side; the peer, which takes seconds for each, gets the first few. */
const candidates = { ours: 2_000, peer: 8 };

/** What the peer wrote: seconds, and the pairs or scores it found. */
interface Peer {
  near_seconds: number;
  pairs: [number, number][];
  rouge_seconds: number;
  scores: number[];
}

/** Compares near duplicates of `count` rows, and the most similar of 50,000 instructions. */
export async function similarity(count: number): Promise<Record<string, unknown>> {
  const texts = rows(count);
  const asked = instructions(pool + candidates.ours);
  const near = await timed(() => tunesmith.nearDuplicates(texts, { size: 5, threshold: 0.7 }));
  const held = tunesmith.rougePool();
  await held.add(asked.slice(0, pool));
  const found = await timed(() => held.mostSimilar(asked.slice(pool)));
  const peer = askPeer(texts, asked.slice(0, pool + candidates.peer));
  // What else happened on the machine may have happened to one of them.
  const again = await timed(() => tunesmith.nearDuplicates(texts, { size: 5, threshold: 0.7 }));
  const ours = {
    near_seconds: [near.seconds, again.seconds],
    pairs: near.value.pairs.length,
    candidates_per_second: candidates.ours / found.seconds,
  };
  console.log(`near duplicates  ${count} rows in ${near.seconds.toFixed(2)} s, again in ${again.seconds.toFixed(2)} s`);
  console.log(`rouge pool       ${ours.candidates_per_second.toFixed(0)} candidates/s against ${pool}`);
  const base = { benchmark: "similarity", machine: machine(), rows: count, pool, tunesmith: ours };
  if (peer === null) return base;
  const scores = found.value.slice(0, candidates.peer).map(({ score }) => score);
  if (String(scores) !== String(peer.scores))
    throw new Error(`[bench similarity] expected the scores ${peer.scores} of rouge_score, got ${scores}`);
  const peers = {
    datasketch_seconds: peer.near_seconds,
    datasketch_share_of_pairs: shareOf(near.value.pairs, peer.pairs),
    rouge_score_candidates_per_second: candidates.peer / peer.rouge_seconds,
  };
  console.log(
    `datasketch       ${peer.near_seconds.toFixed(1)} s, ${(peer.near_seconds / near.seconds).toFixed(1)} of ours; finds ${(100 * peers.datasketch_share_of_pairs).toFixed(1)} % of the pairs from 0.8 on`,
  );
  console.log(`rouge_score      ${peers.rouge_score_candidates_per_second.toFixed(2)} candidates/s on all cores`);
  return { ...base, peers };
}

/** Share of the pairs of at least 0.8 that the peer proposes too. */
function shareOf(pairs: readonly NearDuplicatePair[], proposed: readonly [number, number][]): number {
  const known = new Set(proposed.map(([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`));
  const close = pairs.filter(({ similarity: value }) => value >= 0.8);
  return close.filter(({ first, second }) => known.has(`${first} ${second}`)).length / Math.max(1, close.length);
}

async function timed<T>(run: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const start = performance.now();
  const value = await run();
  return { seconds: (performance.now() - start) / 1000, value };
}

function askPeer(texts: readonly string[], asked: readonly string[]): Peer | null {
  const python = peerPython("datasketch and rouge_score");
  if (python === null) return null;
  const work = mkdtempSync(join(tmpdir(), "tunesmith-similarity-"));
  try {
    const path = join(work, "texts.json");
    writeFileSync(path, JSON.stringify({ rows: texts, pool: asked.slice(0, pool), candidates: asked.slice(pool) }));
    const script = resolve(import.meta.dirname, "../peers/similarity.py");
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const output = execFileSync(python, [script, path], { encoding: "utf8", stdio: [...stdio], maxBuffer: 1 << 28 });
    return JSON.parse(output) as Peer;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

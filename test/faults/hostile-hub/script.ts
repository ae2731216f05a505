// What a hostile hub does, drawn from a seed: its model, its answers one after the other, and the state of the cache before.
import { sibling } from "../../../packages/sdk/src/testing/fake-hub.ts";

/** A source of numbers that are the same for the same seed. */
export class Draws {
  #state: number;

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 2_654_435_761) ^ 0x9e3779b9) >>> 0;
  }

  /** A whole number from 0 up to but not including `n`. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n);
  }

  chance(share: number): boolean {
    return this.below(1000) < share * 1000;
  }

  one<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4));
    let word = this.below(2 ** 31) + 1;
    for (let i = 0; i < words.length; i += 1) {
      // Marsaglia's xorshift.
      word ^= word << 13;
      word ^= word >>> 17;
      word ^= word << 5;
      words[i] = word;
    }
    return Buffer.from(words.buffer, 0, length);
  }
}

/** What the hub does in place of a good answer. */
export const misdeeds = [
  "truncates",
  "promises less",
  "sends more",
  "stalls",
  "drips",
  "resets",
  "wrong bytes",
  "another version",
  "page",
  "nothing",
  "ignores ranges",
  "other range",
  "range without its place",
  "refuses ranges",
  "packed",
  "bomb",
  "torn packing",
  "nonsense",
  "long headers",
  "status",
  "busy",
  "redirect away",
  "redirect loop",
  "redirect to a file",
  "redirect with a password",
  "redirect to nowhere",
] as const;

/** One of them. */
export type Misdeed = (typeof misdeeds)[number];

/** What is wrong with a listing that arrives. */
export const lies = [
  "path up",
  "path from the root",
  "path of a drive",
  "path with a zero",
  "digest is a path",
  "commit is a path",
  "digest of another file",
  "size of another file",
  "huge size",
  "negative size",
  "file twice",
  "no weights",
  "no sizes",
  "deep",
  "many",
  "list",
] as const;

/** What stands in the cache before. */
export const leftovers = [
  "nothing",
  "damaged",
  "part",
  "bad part",
  "long part",
  "folder",
  "stale lock",
  "ref out",
] as const;

/** A whole script. */
export interface Script {
  seed: number;
  files: Map<string, Buffer>;
  /** What is done to the first requests for files and listings; later ones are answered well. */
  listings: (Misdeed | (typeof lies)[number])[];
  answers: Misdeed[];
  leftover: (typeof leftovers)[number];
  draws: Draws;
}

/** The script of a seed. */
export function scriptOf(seed: number): Script {
  const draws = new Draws(seed);
  const files = new Map<string, Buffer>([["config.json", Buffer.from(`{"model_type":"llama","seed":${seed}}`)]]);
  const shards = draws.chance(0.3) ? 2 : 1;
  for (let shard = 1; shard <= shards; shard += 1) {
    const name = shards === 1 ? "model.safetensors" : `model-0000${shard}-of-0000${shards}.safetensors`;
    files.set(name, draws.bytes(draws.one([0, 1, 777, 70_000, 150_000])));
  }
  if (shards > 1) {
    const names = [...files.keys()].filter((name) => name.startsWith("model"));
    const map = Object.fromEntries(names.map((name, index) => [`tensor.${index}`, name]));
    files.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ weight_map: map })));
  }
  if (draws.chance(0.5)) files.set("tokenizer.json", draws.bytes(draws.below(3000)));
  const bad = draws.one([0, 1, 1, 2, 3, 5, 12]);
  return {
    seed,
    files,
    listings: draws.chance(0.35) ? [draws.chance(0.5) ? draws.one(lies) : draws.one(misdeeds)] : [],
    answers: Array.from({ length: bad }, () => draws.one(misdeeds)),
    leftover: draws.chance(0.4) ? draws.one(leftovers) : "nothing",
    draws,
  };
}

/** The listing of a script's files at a commit, with a lie in it. */
export function listingOf(
  files: ReadonlyMap<string, Buffer>,
  commit: string,
  lie: (typeof lies)[number] | null,
): string {
  const siblings = [...files].map(([name, content]) => sibling(name, content)) as Record<string, unknown>[];
  const weights = siblings.find(({ rfilename }) => String(rfilename).endsWith(".safetensors")) ?? {};
  const lfs = weights.lfs as Record<string, unknown>;
  let sha: unknown = commit;
  const extra = (rfilename: string) => siblings.push({ rfilename, size: 3, blobId: "d".repeat(40) });
  if (lie === "path up") extra("../../../../escaped/model.safetensors");
  if (lie === "path from the root") extra("/tmp/escaped.safetensors");
  if (lie === "path of a drive") extra("C:\\escaped.safetensors");
  if (lie === "path with a zero") extra("model.safetensors\u0000.json");
  if (lie === "digest is a path") lfs.sha256 = "../../../../escaped";
  if (lie === "commit is a path") sha = "../../../escaped";
  if (lie === "digest of another file") lfs.sha256 = "e".repeat(64);
  if (lie === "size of another file") lfs.size = Number(lfs.size) + 1;
  if (lie === "huge size") lfs.size = 2 ** 52;
  if (lie === "negative size") lfs.size = -1;
  if (lie === "file twice") siblings.push(weights);
  if (lie === "no sizes") for (const entry of siblings) delete entry.size;
  if (lie === "deep") return `{"sha":"${commit}","siblings":${"[".repeat(200_000)}`;
  if (lie === "many") return `{"sha":"${commit}","siblings":[${"{},".repeat(500_000)}{}]}`;
  if (lie === "list") return JSON.stringify(siblings);
  if (lie === "no weights") return JSON.stringify({ sha, siblings: siblings.filter(({ lfs }) => lfs === undefined) });
  return JSON.stringify({ sha, siblings });
}

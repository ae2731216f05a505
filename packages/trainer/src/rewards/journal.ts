// The rewards of a run in a file of JSON lines: what has been answered is never asked again, also by a run that goes on.
import { readFile } from "node:fs/promises";
import { exists, fileOperation, LineFile } from "@tunesmith/core";
import * as z from "zod";

/** What a function said of the completions of one prompt. */
export interface StoredRewards {
  /** One per completion. */
  values: (number | null)[];
  /** What it logged. */
  metrics: [name: string, value: number][];
  /** Columns that it gave, a value for each completion. */
  extra: Record<string, unknown[]>;
}

/** What was asked. */
export interface RewardKey {
  generation: number;
  /** Name of the function. */
  reward: string;
  /** Which prompt of the generation, from 0. */
  prompt: number;
  /** Of prompt and completions. */
  digest: string;
}

/** Where rewards are kept. */
export interface RewardJournal {
  /** What was answered before; null where it was not asked. */
  recorded(key: RewardKey): StoredRewards | null | Promise<StoredRewards | null>;
  /** Keeps an answer: it is on the disk once this resolves. */
  record(key: RewardKey, stored: StoredRewards): Promise<void>;
}

/** A line of the file. */
const lineSchema = z.object({
  generation: z.int().nonnegative(),
  reward: z.string(),
  prompt: z.int().nonnegative(),
  digest: z.string(),
  values: z.array(z.number().nullable()),
  metrics: z.array(z.tuple([z.string(), z.number()])),
  extra: z.record(z.string(), z.array(z.unknown())),
});

/** `rewards.jsonl` of a run folder. */
export class RewardFile implements RewardJournal {
  readonly #path: string;
  #open: Promise<{ file: LineFile; known: Map<string, RewardKey & StoredRewards> }> | null = null;
  /** Writes follow each other. */
  #before: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async recorded(key: RewardKey): Promise<StoredRewards | null> {
    const { known } = await this.#opened();
    return known.get(nameOf(key)) ?? null;
  }

  async record(key: RewardKey, stored: StoredRewards): Promise<void> {
    const { file, known } = await this.#opened();
    file.add({ ...key, ...stored });
    // Those before are only for generations that are over.
    for (const [name, { generation }] of known) if (generation < key.generation) known.delete(name);
    known.set(nameOf(key), { ...key, ...stored });
    const writing = this.#before.then(() => file.sync());
    this.#before = writing.catch(() => {});
    await writing;
  }

  async close(): Promise<void> {
    if (this.#open === null) return;
    const { file } = await this.#open;
    await file.close();
  }

  #opened() {
    this.#open ??= openFile(this.#path);
    return this.#open;
  }
}

/** A last line that was cut off is left out, and so is one that is no answer: what is not known is asked again. */
async function openFile(path: string) {
  const bytes = (await exists(path)) ? await fileOperation("read", path, () => readFile(path)) : Buffer.alloc(0);
  const end = bytes.lastIndexOf(10) + 1;
  const known = new Map<string, RewardKey & StoredRewards>();
  let start = 0;
  for (let next = bytes.indexOf(10); next !== -1; next = bytes.indexOf(10, start)) {
    const found = parsedLine(bytes.toString("utf8", start, next));
    if (found !== null) known.set(nameOf(found), found);
    start = next + 1;
  }
  return { file: await LineFile.open(path, end), known };
}

function parsedLine(text: string): (RewardKey & StoredRewards) | null {
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

function nameOf({ generation, reward, prompt, digest }: RewardKey): string {
  return JSON.stringify([generation, reward, prompt, digest]);
}

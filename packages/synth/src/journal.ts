// The replies of a run in a file of JSON lines, so that one that was interrupted goes on where it was.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { DataError, exists, FileLock, fileOperation, LineFile, OptionError } from "@tunesmith/core";
import type { SelfInstructStep } from "./filters.ts";
import type { Reply } from "./generate/generate.ts";
import { parsedLine, splitLines } from "./json-lines.ts";

/** What a run that goes on must share. */
export type RunConfig = Readonly<Record<string, unknown>>;

/** How a journal begins. */
const kind = { type: "self-instruct", version: 1 };
const opening = JSON.stringify(kind).slice(0, -1);

/** Replies to one batch. */
interface Recorded {
  line: number;
  step: string;
  request: number;
  /** Of the prompts, to tell whether these are the replies to them. */
  prompts: string;
  replies: Reply[];
}

/** The replies of a run: those that are there already, then those that are added. One process at a time holds it. */
export class Journal {
  readonly path: string;
  readonly #lock: FileLock;
  readonly #file: LineFile;
  readonly #recorded: Recorded[];
  #next = 0;

  private constructor(path: string, lock: FileLock, file: LineFile, recorded: Recorded[]) {
    this.path = path;
    this.#lock = lock;
    this.#file = file;
    this.#recorded = recorded;
  }

  /**
   * Opens or makes a journal. A last line that was cut off is left out and written again. Of another configuration it is an `OptionError`
   * that names the options; what is no journal is a `DataError`; one in use is a `LockedError`.
   */
  static async open(path: string, config: RunConfig): Promise<Journal> {
    const lock = await FileLock.take(`${path}.lock`, "this run of Self-Instruct");
    try {
      const bytes = (await exists(path)) ? await fileOperation("read", path, () => readFile(path)) : Buffer.alloc(0);
      const { lines, rest, size } = splitLines(bytes);
      if (lines.length === 0 && !opening.startsWith(rest.slice(0, opening.length))) throw foreign(path, rest);
      const [header, ...others] = lines;
      if (header !== undefined) compare(path, header, config);
      const recorded = others.map((text, n) => recordedOf(path, text, n + 2));
      const file = await LineFile.open(path, size);
      if (header === undefined) {
        file.add({ ...kind, config });
        await file.sync();
      }
      return new Journal(path, lock, file, recorded);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** The recorded replies to a batch; null where there are none yet. Replies to something else are a `DataError`. */
  recorded(step: SelfInstructStep, request: number, prompts: readonly string[]): Reply[] | null {
    const found = this.#recorded[this.#next];
    if (found === undefined) return null;
    this.#next += 1;
    if (
      found.step === step &&
      found.request === request &&
      found.prompts === digest(prompts) &&
      found.replies.length === prompts.length
    )
      return found.replies;
    throw new DataError(
      `[${this.path}:${found.line}] expected the replies to request ${request} of ${step}, got others; the file was changed, or is of another version: choose another output`,
    );
  }

  /** Adds the replies to a batch, forced to the disk. */
  async record(
    step: SelfInstructStep,
    request: number,
    prompts: readonly string[],
    replies: readonly Reply[],
  ): Promise<void> {
    this.#file.add({ step, request, prompts: digest(prompts), replies });
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#lock.release();
  }
}

function digest(prompts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(prompts)).digest("hex").slice(0, 16);
}

function foreign(path: string, text: string): DataError {
  return new DataError(
    `[${path}] expected the replies of a run of Self-Instruct or nothing, got ${JSON.stringify(text.slice(0, 40))}; nothing was changed: choose another output`,
  );
}

function compare(path: string, header: string, config: RunConfig): void {
  const before = header.startsWith(opening)
    ? (parsedLine(header, `${path}:1`) as { config?: RunConfig }).config
    : undefined;
  if (before === undefined) throw foreign(path, header);
  const names = [...new Set([...Object.keys(before), ...Object.keys(config)])];
  const differing = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(config[name]));
  if (differing.length === 0) return;
  const each = differing.map((name) => `${name} ${shown(before[name])}, got ${shown(config[name])}`);
  throw new OptionError(
    `[${path}] expected the options of the run that is there, ${each.join("; ")}; give the same ones to go on, or choose another output`,
  );
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, 80);
}

function recordedOf(path: string, text: string, line: number): Recorded {
  const place = `${path}:${line}`;
  const { step, request, prompts, replies } = (parsedLine(text, place) ?? {}) as Partial<Recorded>;
  const isReply = (reply: Partial<Reply> | null) => typeof reply?.text === "string" && typeof reply.isCut === "boolean";
  if (
    typeof step !== "string" ||
    typeof request !== "number" ||
    typeof prompts !== "string" ||
    !Array.isArray(replies) ||
    !replies.every(isReply)
  )
    throw new DataError(`[${place}] expected the replies to a request, got ${shown(text)}; choose another output`);
  return { line, step, request, prompts, replies };
}

// One program of a comparison, driven step by step.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { EndLine, StartLine, StepLine } from "./spec.ts";

/** One program of a comparison, driven step by step. */
export class Side {
  readonly steps: StepLine[] = [];
  /** Seconds from spawning the process to the end of its first step. */
  firstStepSeconds = Number.NaN;
  peakBytes = Number.NaN;
  /** The engine's own count of its peak, on our side. */
  engineBytes: number | null = null;
  loadSeconds = Number.NaN;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  readonly #spawned = performance.now();

  private constructor(
    readonly name: string,
    command: string,
    args: readonly string[],
  ) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Starts a program, waits for its model and takes one step that is not counted but timed as the first. */
  static async start(name: string, command: string, args: readonly string[]): Promise<Side> {
    const side = new Side(name, command, args);
    side.loadSeconds = ((await side.#read()) as unknown as StartLine).load_seconds;
    await side.step();
    side.firstStepSeconds = (performance.now() - side.#spawned) / 1000;
    return side;
  }

  async step(): Promise<StepLine> {
    this.#child.stdin.write("step\n");
    const line = (await this.#read()) as unknown as StepLine;
    this.steps.push(line);
    return line;
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    const end = (await this.#read()) as unknown as EndLine;
    this.peakBytes = end.peak_rss_bytes;
    this.engineBytes = end.engine_peak_bytes ?? null;
    this.#reader.close();
  }

  async #read(): Promise<Record<string, unknown>> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`[${this.name}] expected a line of results, got the end of its output`);
    return JSON.parse(value) as Record<string, unknown>;
  }
}

// One program of the comparison: it names a case when it is ready for it, and takes one sample for each line `sample`.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** A line of a program. */
interface Line {
  event: string;
  /** Bytes that a step must read and write at least, where the program knows them. */
  bytes?: number;
  ms?: number;
}

export class Program {
  readonly name: string;
  /** Milliseconds of each sample. */
  readonly samples: number[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string, command: string, args: readonly string[], cwd: string) {
    this.name = name;
    this.#child = spawn(command, args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** The case that it is ready for. */
  async ready(): Promise<Line> {
    return await this.#line("case");
  }

  async sample(): Promise<void> {
    this.#child.stdin.write("sample\n");
    this.samples.push((await this.#line("sample")).ms ?? Number.NaN);
  }

  /** Ends the program and waits for it. */
  async end(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin.end("next\n");
    this.#reader.close();
    this.#child.stdout.resume();
    await closed;
  }

  async #line(event: string): Promise<Line> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`[optimizers] expected a line of ${this.name}, got the end of its output`);
    const line = JSON.parse(value) as Line;
    if (line.event !== event) throw new Error(`[optimizers] expected ${event} of ${this.name}, got ${value}`);
    return line;
  }
}

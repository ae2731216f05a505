// The finished runs of a benchmark that takes hours, each in a file of its own, so that it goes on where it was stopped.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Results by name, in a folder that belongs to one state of settings and rows: with others it begins from nothing. */
export class RunStore {
  /** Of the settings and rows. */
  readonly key: string;
  readonly #folder: string;

  /** @param facts what decides the results; equal facts share a folder */
  constructor(folder: string, facts: unknown) {
    this.key = createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 12);
    this.#folder = join(folder, this.key);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** What was put under a name; null where nothing was. */
  get<T>(name: string): T | null {
    const path = this.#path(name);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : null;
  }

  /** Keeps a result; a process that is killed leaves a whole file or none. */
  put<T>(name: string, result: T): T {
    const path = this.#path(name);
    writeFileSync(`${path}.${process.pid}`, `${JSON.stringify(result)}\n`);
    renameSync(`${path}.${process.pid}`, path);
    return result;
  }

  #path(name: string): string {
    return join(this.#folder, `${name.replaceAll(/[^a-z0-9]+/gu, "-")}.json`);
  }
}

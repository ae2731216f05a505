// Runs the Rust tests and counts them. A crate whose tests pass is one line; a failing one is printed in full.
import { dim, green, hostTriple, red, run } from "./shell.mjs";
import { note } from "./times.mjs";

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** Reads cargo's output line by line; one test binary after the other. */
export class CargoReader {
  /** @type {Counts} */
  counts = { passed: 0, failed: 0, skipped: 0 };
  #name = "";
  /** @type {string[]} */
  #lines = [];
  #skipped = 0;
  #begun = Date.now();

  /**
   * @param {(line: string) => void} print
   * @param {(part: string, milliseconds: number) => void} [time] told how long compiling and each binary took
   */
  constructor(print, time = () => {}) {
    this.print = print;
    this.time = time;
  }

  /** Lines of the binary in hand, or of a build that has not come to a binary. */
  get pending() {
    return this.#lines;
  }

  line(/** @type {string} */ line) {
    const started = /^\s+(?:Running (?:unittests )?(\S+) \(.*[/\\](.+)-[0-9a-f]{16}(?:\.exe)?\)|Doc-tests (\S+))$/.exec(
      line,
    );
    if (started) {
      this.#begin(started[3] === undefined ? `${started[2]} ${dim(started[1] ?? "")}` : `${started[3]} ${dim("doc")}`);
      return;
    }
    this.#lines.push(line);
    // A test that cannot run where it is prints why and returns; libtest has no third verdict.
    if (/^skipped: /.test(line)) this.#skipped += 1;
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line);
    if (result) this.#end(Number(result[1]), Number(result[2]), Number(result[3]));
  }

  #begin(/** @type {string} */ name) {
    if (this.#name === "") this.time("compile", Date.now() - this.#begun);
    this.#begun = Date.now();
    this.#name = name;
    this.#lines = [];
    this.#skipped = 0;
  }

  #end(/** @type {number} */ passed, /** @type {number} */ failed, /** @type {number} */ ignored) {
    this.time(this.#name, Date.now() - this.#begun);
    const skipped = Math.min(this.#skipped, passed);
    this.counts.passed += passed - skipped;
    this.counts.failed += failed;
    this.counts.skipped += skipped + ignored;
    if (failed > 0) this.print(this.#lines.join("\n"));
    if (passed + failed + ignored > 0) {
      const extra = skipped + ignored > 0 ? `, ${skipped + ignored} skipped` : "";
      this.print(
        `${failed > 0 ? red("✗") : green("✓")} ${this.#name}  ${passed - skipped} passed, ${failed} failed${extra}`,
      );
    }
    this.#lines = [];
    this.#skipped = 0;
  }
}

/**
 * Runs `cargo test` for the workspace, in the build's own target folder.
 *
 * @param {string[]} filters test name filters
 * @param {{ args?: string[], suite?: string }} [options] `args`: which targets, by default all but examples in documentation, of
 *   which there are none (`test/architecture`); `suite`: its name in the table of times
 * @returns {Promise<Counts>}
 */
export async function rustTests(filters = [], { args = ["--tests"], suite = "Rust" } = {}) {
  const reader = new CargoReader(
    (line) => console.log(line),
    (part, milliseconds) => note(suite, part, milliseconds),
  );
  // One pipe for both streams: cargo names a binary on one and the binary reports on the other, and their order matters.
  const cargo = `cargo test --workspace --release --locked --no-fail-fast --target ${hostTriple()}`;
  const more = args.map((arg) => `'${arg}'`).join(" ");
  const quoted = filters.map((filter) => `"${filter.replaceAll(/[^\w:.-]/g, "")}"`).join(" ");
  const [shell, flag] = process.platform === "win32" ? ["cmd", "/c"] : ["sh", "-c"];
  const env = { CARGO_TERM_COLOR: "never" };
  const onLine = (/** @type {string} */ line) => reader.line(line);
  const { code } = await run(shell, [flag, `${cargo} ${more} -- ${quoted} --show-output 2>&1`], { env, onLine });
  const { counts } = reader;
  if (code !== 0 && counts.failed === 0) {
    console.log(reader.pending.join("\n"));
    console.log(`${red("✗")} the Rust tests did not run to their end`);
    counts.failed += 1;
  }
  return counts;
}

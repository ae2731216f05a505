// The CUDA backend's suites on a device of the CPU that AddressSanitizer watches: no kernel reads or writes beyond its memory.
import { compileDevice, compiled, environment, sanitizer } from "./emulated.mjs";
import { rustTests } from "./rust-tests.mjs";
import { hostTriple, red, yellow } from "./shell.mjs";
import { timed } from "./times.mjs";

/** @typedef {import("./rust-tests.mjs").Counts} Counts */

/**
 * Runs what `npm test` has built once more, on the watched device: every suite, and the tests of the device itself.
 *
 * @param {string[]} filters test name filters; without any, each dtype is run at one alignment, the other way round in the other
 * @param {{ everyCase?: boolean }} [options] `everyCase`: both alignments and no case left out, which takes an hour
 * @returns {Promise<Counts>}
 */
export async function asanTests(filters = [], { everyCase = false } = {}) {
  const asan = sanitizer();
  if (asan === null) {
    console.log(
      yellow("skipped: no libasan.so of g++ here; install the libasan of your compiler to watch the kernels"),
    );
    return { passed: 0, failed: 0, skipped: 1 };
  }
  const compile = () => compileDevice({ out: compiled("emulated-asan"), watched: true });
  const library = await timed("ASan", "compile the device", compile).catch((error) => {
    console.log(`${red("✗")} ${error.message}`);
    return null;
  });
  if (library === null) return { passed: 0, failed: 1, skipped: 0 };
  // cargo itself runs as ever; `env` gives the tests their surroundings.
  const all = filters.length === 0;
  const watch = everyCase ? "all" : all ? "brief" : "";
  const surroundings = { ...environment(library, asan), TUNESMITH_WATCH: watch };
  const pairs = Object.entries(surroundings).map(([name, value]) => `${name}=${value}`);
  const runner = `target.${hostTriple()}.runner=${JSON.stringify(["env", ...pairs])}`;
  return rustTests(all ? ["meets_its_contract", "faults::"] : filters, {
    args: ["--config", runner, "--test", "cuda", "--lib"],
    suite: "ASan",
  });
}

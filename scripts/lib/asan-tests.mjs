// The CUDA backend's suites on a device of the CPU that AddressSanitizer watches: no kernel reads or writes beyond its memory.
import { compileDevice, compiled, environment, sanitizer } from "./emulated.mjs";
import { rustTests } from "./rust-tests.mjs";
import { hostTriple, red, yellow } from "./shell.mjs";
import { timed } from "./times.mjs";

/** @typedef {import("./rust-tests.mjs").Counts} Counts */

/**
 * Runs what `npm test` has built once more, on the watched device: every suite, and the tests of the device itself.
 *
 * @param {string[]} filters test name filters
 * @returns {Promise<Counts>}
 */
export async function asanTests(filters = []) {
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
  const pairs = Object.entries(environment(library, asan)).map(([name, value]) => `${name}=${value}`);
  const runner = `target.${hostTriple()}.runner=${JSON.stringify(["env", ...pairs])}`;
  const all = filters.length === 0;
  return rustTests(all ? ["meets_its_contract", "faults::"] : filters, {
    args: ["--config", runner, "--test", "cuda", ...(all ? ["--lib"] : [])],
    suite: "ASan",
  });
}

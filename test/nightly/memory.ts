// The CUDA backend's suites, whole: every case of the long lists in every order of threads, and once more on a device that
// AddressSanitizer watches. `npm test` takes one order for all cases and one case in seven for the others, and no watched device.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { asanTests } from "../../scripts/lib/asan-tests.mjs";
import { rustTests } from "../../scripts/lib/rust-tests.mjs";
import { root } from "../../scripts/lib/shell.mjs";
import type { Part, Reached } from "./part.ts";

const sources = (crate: string) => readdirSync(join(root, "crates", crate, "src"));

/** Stems with a contract, kernels and a suite. */
function stems(): string[] {
  const [contracts, suites] = [sources("ops"), sources("conformance")];
  const files = sources("cuda").filter((file) => contracts.includes(file) && suites.includes(file));
  return files.filter((file) => file !== "lib.rs" && file.endsWith(".rs")).map((file) => file.replace(/\.rs$/, ""));
}

/** What is run of each stem, and after the last of all the faults that a watched device must catch. */
const faults = "faults";

async function reached(stem: string): Promise<{ passed: number; failed: number }> {
  if (stem === faults) return asanTests(["faults::"], { everyCase: true });
  const filters = [`${stem}_meets_its_contract`, "--exact"];
  process.env.TUNESMITH_EVERY_CASE = "1";
  const ordered = await rustTests(filters, { args: ["--test", "cuda"], suite: "orders" });
  const watched = await asanTests(filters, { everyCase: true });
  return { passed: ordered.passed + watched.passed, failed: ordered.failed + watched.failed };
}

/** Goes through all stems, or the one asked for, however long they take. */
export const memory: Part = {
  what: "Every case of every suite of the CUDA backend, in every order of threads and on a device of the CPU that AddressSanitizer watches; a case is a suite.",
  async run({ only }) {
    const rows: Reached[] = [];
    for (const id of only === undefined ? [...stems(), faults] : [only]) {
      const begun = performance.now();
      const { passed, failed } = await reached(id);
      rows.push({ id, cases: passed + failed, failures: failed, seconds: (performance.now() - begun) / 1000 });
    }
    return rows;
  },
};

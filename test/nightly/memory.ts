// The CUDA backend's suites under AddressSanitizer, whole: both alignments in both dtypes and every case of the long lists, of which
// `npm test` takes one alignment a dtype and one case in seven.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { asanTests } from "../../scripts/lib/asan-tests.mjs";
import { root } from "../../scripts/lib/shell.mjs";
import type { Part, Reached } from "./part.ts";

const sources = (crate: string) => readdirSync(join(root, "crates", crate, "src"));

/** Stems with a contract, kernels and a suite. */
function stems(): string[] {
  const [contracts, suites] = [sources("ops"), sources("conformance")];
  const files = sources("cuda").filter((file) => contracts.includes(file) && suites.includes(file));
  return files.filter((file) => file !== "lib.rs" && file.endsWith(".rs")).map((file) => file.replace(/\.rs$/, ""));
}

/** Goes through all stems, or the one asked for, however long they take. */
export const memory: Part = {
  what: "Every case of every suite of the CUDA backend on a device of the CPU that AddressSanitizer watches; a case is a suite.",
  async run({ only }) {
    const rows: Reached[] = [];
    for (const stem of only === undefined ? stems() : [only]) {
      const begun = performance.now();
      const { passed, failed } = await asanTests([`${stem}_meets_its_contract`, "--exact"], { everyCase: true });
      const seconds = (performance.now() - begun) / 1000;
      rows.push({ id: stem, cases: passed + failed, failures: failed, seconds });
    }
    return rows;
  },
};

// The nightly part `formats`: mutated model files against every reader, `crates/formats/tests/hostile`.
import { hostTriple, run } from "../../scripts/lib/shell.mjs";
import type { Part, Reached } from "./part.ts";

/** Campaigns of the test binary; they share the time. */
const campaigns = 7;

interface Line {
  campaign: string;
  cases: number;
  accepted: number;
  failures: number;
  seconds: number;
}

/** The result a campaign writes at its end, after the name of its test where nothing was written between; undefined for any other line. */
export function reached(line: string): Reached | undefined {
  const begin = line.indexOf('{"campaign":');
  if (begin < 0) return undefined;
  const { campaign, cases, accepted, failures, seconds } = JSON.parse(line.slice(begin)) as Line;
  return { id: campaign, cases, failures, seconds, note: `${accepted} accepted` };
}

export const formats: Part = {
  what: "mutated model files: no panic, none over 1 s, no memory beyond twice the file and 64 MB",
  async run({ minutes, threads }) {
    const rows: Reached[] = [];
    const cargo = ["test", "--release", "--locked", "--target", hostTriple(), "-p", "tunesmith-formats"];
    const test = ["--test", "hostile", "mutations", "--", "--nocapture", "--test-threads", String(threads)];
    const { code } = await run("cargo", [...cargo, ...test], {
      env: { MINUTES: String((minutes * threads) / campaigns), RUST_BACKTRACE: "0" },
      onLine: (line) => {
        const row = reached(line);
        if (row !== undefined) rows.push(row);
        console.log(line);
      },
    });
    const failures = rows.reduce((sum, row) => sum + row.failures, 0);
    if (rows.length !== campaigns || (code !== 0 && failures === 0))
      throw new Error(`[test:nightly formats] expected ${campaigns} campaigns, got ${rows.length} and exit ${code}`);
    return rows.sort((a, b) => Number(a.id > b.id) - Number(a.id < b.id));
  },
};

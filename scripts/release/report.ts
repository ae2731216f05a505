// The lines of a release: each check with its outcome, a skipped one with its reason, and the sum at the end.
import { bold, green, red, seconds, yellow } from "../lib/shell.mjs";

/** What a check found: nothing wrong (perhaps with a note), faults, or a reason why it could not be made here. */
export type Outcome = { ok: string } | { faults: readonly string[] } | { skipped: string };

/** Counts what was checked, and prints it. */
export class Report {
  readonly counts: { passed: number; failed: number; skipped: number } = { passed: 0, failed: 0, skipped: 0 };

  /** Makes a check and prints its line. An error is a fault. Gives whether it found none. */
  async check(name: string, make: () => Outcome | Promise<Outcome>): Promise<boolean> {
    const begun = Date.now();
    const outcome = await attempt(make);
    const took = Date.now() - begun > 1000 ? `  ${seconds(Date.now() - begun)}` : "";
    const line = (state: string, note: string) => console.log(`${state}${name.padEnd(46)}${note}${took}`);
    if ("skipped" in outcome) {
      this.counts.skipped += 1;
      line(yellow("skipped  "), outcome.skipped);
      return true;
    }
    const faults = "faults" in outcome ? outcome.faults : [];
    this.counts[faults.length === 0 ? "passed" : "failed"] += 1;
    line(faults.length === 0 ? green("ok       ") : red("failed   "), "ok" in outcome ? outcome.ok : "");
    for (const fault of faults) console.log(`         ${fault}`);
    return faults.length === 0;
  }

  /** Prints the sum; gives the exit code. */
  end(): number {
    const { passed, failed, skipped } = this.counts;
    console.log(bold(`${passed} passed, ${failed} failed, ${skipped} skipped`));
    return failed === 0 ? 0 : 1;
  }
}

async function attempt(make: () => Outcome | Promise<Outcome>): Promise<Outcome> {
  try {
    return await make();
  } catch (error) {
    return { faults: [(error as Error).message] };
  }
}

/** Faults, or the note where there are none. */
export const unless = (faults: readonly string[], note = ""): Outcome =>
  faults.length === 0 ? { ok: note } : { faults };

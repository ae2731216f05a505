// The nightly part `install`: the packages are packed, installed into an empty folder, and used as a user does.
import { checks, others } from "../install/checks.ts";
import { makePlace, makeRelease } from "../install/place.ts";
import type { Part, Reached } from "./part.ts";

/** Every check of test/install; a case is a check. */
export const install: Part = {
  what: "The packages as a user has them: packed, installed into an empty folder, every command, import and require, types, errors of a missing binary; a case is a check.",
  async run({ only }) {
    const reached: Reached[] = [];
    using release = await makeRelease();
    using place = await makePlace(release, { others });
    for (const check of checks) {
      if (only !== undefined && check.id !== only) continue;
      const begun = performance.now();
      const note = await check.run(place, release).catch((error: unknown) => error as Error);
      const failed = note instanceof Error;
      if (failed) console.error(`${check.id}: ${note.stack}`);
      else console.log(`${check.id}${note === "" ? "" : `: ${note}`}`);
      const seconds = (performance.now() - begun) / 1000;
      reached.push({
        id: check.id,
        cases: 1,
        failures: failed ? 1 : 0,
        seconds,
        note: failed ? (note.message.split("\n", 1)[0] ?? "") : note,
      });
    }
    if (reached.length === 0)
      throw new Error(`[test:nightly] expected one of ${checks.map(({ id }) => id).join(", ")}, got ${only}`);
    return reached;
  },
};

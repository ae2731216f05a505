// The device waits for rows.
import { percent, significant } from "@tunesmith/core";
import { type HealthRule, mean } from "./rule.ts";

/** Steps that are looked at, the share of their time that may be spent on waiting, and the seconds of a wait that are worth a word. */
const [window, limit, least] = [20, 0.5, 0.01];

/** More than half of the time of the last 20 steps was spent on waiting for their rows. */
export const waitingForData: HealthRule = {
  name: "waiting-for-data",
  check({ event, run, steps }) {
    if (event !== "step" || steps.length < window) return null;
    const newest = steps.slice(-window);
    const wait = mean(newest.map(({ waitSeconds }) => waitSeconds));
    const share = wait / (wait + mean(newest.map(({ seconds }) => seconds)));
    if (share <= limit || wait < least) return null;
    return {
      value: share,
      message: `the device waits for data: ${percent(share)} of the last ${window} steps' time, ${significant(wait)} seconds a step`,
      remedy: run.streamed
        ? "let rows be prepared before the run (without streaming they are, and kept in the cache), or read from a faster source"
        : "look at what else reads this disk, or keep the data on a faster one",
    };
  },
};

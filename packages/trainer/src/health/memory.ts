// Memory of the device is nearly full.
import { percent } from "@tunesmith/core";
import type { HealthRule } from "./rule.ts";

/** Share of the memory from which on a longer row may end the run. */
const limit = 0.97;

const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;

/** Less than 3 % of the memory is left. */
export const memoryNearLimit: HealthRule = {
  name: "memory",
  check({ memory }) {
    if (memory === null || memory.used < limit * memory.limit) return null;
    const { used, limit: all, device } = memory;
    return {
      value: used / all,
      message: `the memory of the ${device} is nearly full: ${gigabytes(used)} of ${gigabytes(all)}, ${percent(used / all)}`,
      remedy: "set gradientCheckpointing, lower tokenBudget or maxLength, or end what else is using it",
    };
  },
};

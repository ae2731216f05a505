import { philox } from "@tunesmith/curriculum";
import { expect, test } from "vitest";
import { aDay, trials, tried } from "../../../core/src/testing/trials.ts";
import { superfluous } from "./rotation.ts";

test(
  "whatever is saved and evaluated, the best and the newest stay, and no more others than the limit",
  () => {
    const runs = trials(500);
    for (let run = 0; run < runs; run += 1) {
      const numbers = (step: number) => philox([run, step, 0, 0], [1, 0]);
      const limit = [null, 1, 2, 3][numbers(0)[0] % 4] as number | null;
      let there: number[] = [];
      let best: number | null = null;
      let bestOnly: number[] = [];
      for (let step = 1; step <= 40; step += 1) {
        const [evaluation, saving] = numbers(step);
        const isBest = evaluation % 3 === 0;
        const isDue = saving % 3 === 0;
        if (!isBest && !isDue) continue;
        there.push(step);
        if (isBest) best = step;
        if (!isDue) bestOnly = [...bestOnly, step];
        const gone = superfluous(there, { limit, best, newest: step, bestOnly });
        expect(gone).not.toContain(best);
        expect(gone).not.toContain(step);
        there = there.filter((one) => !gone.includes(one));
        expect(there.filter((one) => bestOnly.includes(one) && one !== best && one !== step)).toEqual([]);
        const others = there.filter((one) => one !== best);
        if (limit === null) expect(gone.filter((one) => !bestOnly.includes(one))).toEqual([]);
        else expect(others.length).toBeLessThanOrEqual(limit);
      }
    }
    tried(40 * runs);
  },
  aDay,
);

test("the one that a run goes on from stays until there is a newer one", () => {
  // Written only for being the best by a metric that no longer counts.
  expect(superfluous([2, 4], { limit: 1, best: null, newest: 4, bestOnly: [2, 4] })).toEqual([2]);
  expect(superfluous([4, 5], { limit: null, best: 5, newest: 5, bestOnly: [4, 5] })).toEqual([4]);
  expect(superfluous([4, 5], { limit: null, best: 4, newest: 5, bestOnly: [4] })).toEqual([]);
});

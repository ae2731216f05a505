import { expect, test } from "vitest";
import { aDay, trials, tried } from "../../packages/core/src/testing/trials.ts";
import { leftovers, lies, misdeeds, scriptOf } from "./hostile-hub/script.ts";
import { runScript } from "./hostile-hub/trial.ts";

/** Scripts at a time: most of their time is waiting. */
const together = 4;

test("whatever a hub does, the right files arrive or a typed error, and nothing bad stays", {
  timeout: aDay,
}, async () => {
  const count = trials(60);
  const outcomes = { files: 0, error: 0 };
  const problems: string[] = [];
  let next = 1;
  let longest = 0;
  const work = async () => {
    while (next <= count) {
      const seed = next;
      next += 1;
      const begun = performance.now();
      const trial = await runScript(seed);
      longest = Math.max(longest, performance.now() - begun);
      outcomes[trial.outcome] += 1;
      problems.push(...trial.problems.map((problem) => `script ${seed}: ${problem}`));
    }
  };
  await Promise.all(Array.from({ length: together }, work));
  expect(problems).toEqual([]);
  expect(outcomes.files).toBeGreaterThan(count / 4);
  expect(outcomes.error).toBeGreaterThan(count / 8);
  tried(
    count,
    `${outcomes.files} gave the files, ${outcomes.error} a typed error, none took over ${longest.toFixed(0)} ms`,
  );
});

test("the scripts between them do everything that is listed, and a seed is always the same script", () => {
  const scripts = Array.from({ length: 1000 }, (_, seed) => scriptOf(seed + 1));
  const answers = new Set(scripts.flatMap((script) => script.answers));
  const listings = new Set(scripts.flatMap((script) => script.listings));
  expect([...answers].sort()).toEqual([...misdeeds].sort());
  expect([...listings].sort()).toEqual([...misdeeds, ...lies].sort());
  expect(new Set(scripts.map(({ leftover }) => leftover))).toEqual(new Set(leftovers));
  const [one, again] = [scriptOf(7), scriptOf(7)];
  expect({ ...one, draws: null }).toEqual({ ...again, draws: null });
});

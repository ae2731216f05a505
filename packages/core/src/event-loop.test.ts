import { setImmediate } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { Slices } from "./event-loop.ts";

test("a slice is over after a few milliseconds, and what waits for the event loop runs in its turn", async () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const slices = new Slices();
  now = 5;
  expect(slices.isOver).toBe(false);
  now = 25;
  expect(slices.isOver).toBe(true);
  let waited = false;
  const other = setImmediate().then(() => {
    waited = true;
  });
  await slices.turn();
  await other;
  expect([waited, slices.isOver]).toEqual([true, false]);
});

import { expect, onTestFinished, test, vi } from "vitest";
import { slices } from "./event-loop.ts";

/** A clock that stands still until it is set, at the beginning of a slice. */
async function handClock(): Promise<{ now: number }> {
  const hands = { now: 0 };
  const clock = vi.spyOn(performance, "now").mockImplementation(() => hands.now);
  onTestFinished(() => clock.mockRestore());
  await slices.turn();
  return hands;
}

/** Counts the turns of the event loop until it is stopped. */
function turnCounter(): { turns: number } {
  const counter = { turns: 0 };
  let next = setImmediate(function again() {
    counter.turns += 1;
    next = setImmediate(again);
  });
  onTestFinished(() => clearImmediate(next));
  return counter;
}

test("a slice is over after a few milliseconds, and what waits for the event loop runs in its turn", async () => {
  const clock = await handClock();
  clock.now += 5;
  expect(slices.isOver).toBe(false);
  clock.now += 20;
  expect(slices.isOver).toBe(true);
  let waited = false;
  setImmediate(() => {
    waited = true;
  });
  await slices.turn();
  expect([waited, slices.isOver]).toEqual([true, false]);
});

test("works that go on at the same time share a slice: one goes on per turn of the event loop, each in its turn", async () => {
  const clock = await handClock();
  const done: string[] = [];
  const counter = turnCounter();
  const work = async (name: string) => {
    for (let part = 0; part < 4; part += 1) {
      done.push(`${name}${counter.turns}`);
      clock.now += 10;
      if (slices.isOver) await slices.turn();
    }
  };
  await Promise.all(["a", "b", "c"].map(work));
  // All of them begin before the first turn; then no turn has more than one part.
  const names = done.map((part) => part[0]);
  expect(names.join("")).toBe("abc".repeat(4));
  expect(new Set(done.slice(3)).size).toBe(9);
  expect(new Set(done.slice(3).map((part) => part.slice(1))).size).toBe(9);
});

test("a tight loop goes in pieces, and the event loop turns between them", async () => {
  const clock = await handClock();
  const pieces: number[] = [];
  const counter = turnCounter();
  let expected = 0;
  await slices.each(100_000, (from, to) => {
    expect(from).toBe(expected);
    expected = to;
    pieces.push(to - from);
    clock.now += 10;
  });
  expect(expected).toBe(100_000);
  expect(Math.max(...pieces)).toBeLessThanOrEqual(1 << 14);
  expect(counter.turns).toBeGreaterThanOrEqual(pieces.length - 1);
});

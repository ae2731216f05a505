import { expect, onTestFinished, test, vi } from "vitest";
import type { PreparingEvent } from "./events.ts";
import { preparingEvents } from "./preparing.ts";

test("short preparations are not told of, long ones four times a second", () => {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const events: PreparingEvent[] = [];
  const tell = preparingEvents((event) => events.push(event));
  for (; now <= 2000; now += 10) tell("train", { rows: now, share: now / 4000 });
  expect(events.map(({ rows }) => rows)).toEqual([1000, 1250, 1500, 1750, 2000]);
  expect(events[0]).toEqual({ type: "preparing", dataset: "train", rows: 1000, share: 0.25 });
});

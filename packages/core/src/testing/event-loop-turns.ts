// Counts how often work lets the event loop turn, for tests.
import { vi } from "vitest";
import { slices } from "../event-loop.ts";

/** How often work lets the event loop turn, where its clock goes on by 20 ms whenever it is looked at. */
export async function turns(work: () => Promise<unknown>): Promise<number> {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    now += 20;
    return now;
  });
  const turn = vi.spyOn(slices, "turn");
  try {
    await work();
    return turn.mock.calls.length;
  } finally {
    turn.mockRestore();
    clock.mockRestore();
  }
}

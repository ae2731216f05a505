import { expect, onTestFinished, test, vi } from "vitest";
import { pack } from "../pack/packing.ts";
import { prepareRows } from "../testing/prepare-rows.ts";

/** How often the event loop turns during work whose clock goes on by 20 ms whenever it is looked at. */
async function turns(work: () => Promise<unknown>): Promise<number> {
  let now = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => {
    now += 20;
    return now;
  });
  let count = 0;
  let next = setImmediate(function again() {
    count += 1;
    next = setImmediate(again);
  });
  onTestFinished(() => clearImmediate(next));
  await work();
  clock.mockRestore();
  return count;
}

test("the event loop turns between any two rows that take long", async () => {
  const rows = Array.from({ length: 400 }, (_, n) => ({ prompt: "p", completion: `c${n}` }));
  expect(await turns(() => prepareRows(rows))).toBeGreaterThanOrEqual(400);
});

test.each(["bfd", "best_fit", "bfd_split", "wrapped"] as const)(
  "the event loop turns while rows are packed: %s",
  async (strategy) => {
    const lengths = new Int32Array(5000).fill(40);
    expect(await turns(() => pack(lengths, 100, strategy))).toBeGreaterThanOrEqual(5);
  },
);

import { expect, test } from "vitest";
import { turns } from "../../../core/src/testing/event-loop-turns.ts";
import { Growing } from "./growing.ts";

test("numbers come out as they were added, one by one and in arrays", async () => {
  const expected: number[] = [];
  const growing = new Growing(new Float32Array());
  for (let n = 0; expected.length < 300_000; n += 1) {
    const part = Float32Array.from({ length: (n * 7) % 5000 }, (_, at) => n + at / 8);
    growing.append(part);
    growing.push(n);
    expected.push(...part, n);
    if (n % 50 === 0) expect(growing.length).toBe(expected.length);
  }
  expect(await growing.finish()).toEqual(Float32Array.from(expected));
  expect([growing.length, await growing.finish()]).toEqual([0, new Float32Array()]);
});

test("what is taken out is no longer there, and what comes after it does not change it", () => {
  const growing = new Growing(new Int32Array());
  growing.append(Int32Array.of(1, 2, 3));
  const [page, ...others] = growing.take();
  growing.append(Int32Array.of(4, 5));
  expect([page, others]).toEqual([Int32Array.of(1, 2, 3), []]);
  expect(growing.take()).toEqual([Int32Array.of(4, 5)]);
  expect(growing.take()).toEqual([]);
});

test("ten million numbers are never copied at once: pages are small, and the event loop turns between them", async () => {
  const full = () => {
    const growing = new Growing(new Int32Array());
    growing.append(new Int32Array(10_000_000));
    return growing;
  };
  const pages = full().take();
  expect(Math.max(...pages.map(({ length }) => length))).toBe(65_536);
  const growing = full();
  expect(await turns(() => growing.finish())).toBeGreaterThanOrEqual(pages.length - 1);
});

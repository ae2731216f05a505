import { expect, test } from "vitest";
import { readAhead } from "./read-ahead.ts";

async function* counting(made: number[], end: number, fault?: Error): AsyncGenerator<number, undefined> {
  try {
    for (let n = 0; n < end; n += 1) {
      made.push(n);
      yield n;
    }
    if (fault !== undefined) throw fault;
  } finally {
    made.push(-1);
  }
}

test("as many values are made ahead as were asked for, and no more", async () => {
  const made: number[] = [];
  const values = readAhead(counting(made, 100), 3);
  await values.next();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(made).toEqual([0, 1, 2, 3]);
  await values.return(undefined);
  expect(made).toEqual([0, 1, 2, 3, -1]);
});

test("values come in order, and a fault in its turn", async () => {
  const got: number[] = [];
  const reading = (async () => {
    for await (const value of readAhead(counting([], 5, new Error("broken")), 2)) got.push(value);
  })();
  await expect(reading).rejects.toThrow("broken");
  expect(got).toEqual([0, 1, 2, 3, 4]);
});

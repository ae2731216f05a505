import { expect, test } from "vitest";
import { mostThatFits } from "./most-that-fits.ts";

test("finds the largest number that fits, and asks few times", async () => {
  for (const limit of [0, 1, 2, 3, 7, 8, 9, 100, 999, 1000, 5000]) {
    let asked = 0;
    const fits = async (amount: number) => {
      asked += 1;
      expect(amount).toBeLessThanOrEqual(1000);
      return amount <= limit;
    };
    expect(await mostThatFits(fits, 1000)).toBe(Math.min(limit, 1000));
    expect(asked).toBeLessThanOrEqual(20);
  }
});

import { expect, test } from "vitest";
import { permutation, philox } from "./philox.ts";

// Known answers published with the Random123 library.
test("philox gives the published numbers", () => {
  const hex = (words: number[]) => words.map((word) => word.toString(16).padStart(8, "0")).join(" ");
  expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  const ones = 0xffffffff;
  expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
  expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
    "d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});

test("a permutation holds every index once, and depends on seed and stream", () => {
  const order = permutation(1000, 3407, 0);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  expect(permutation(1000, 3407, 0)).toEqual(order);
  expect(permutation(1000, 3407, 1)).not.toEqual(order);
  expect(permutation(1000, 3408, 0)).not.toEqual(order);
  expect(permutation(1000, 3407 + 2 ** 32, 0)).not.toEqual(order);
});

test("every element is equally likely at every place", () => {
  const [n, trials] = [6, 6000];
  const seen = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let trial = 0; trial < trials; trial += 1) {
    for (const [place, value] of permutation(n, 1, trial).entries())
      (seen[place] as number[])[value] = (seen[place]?.[value] ?? 0) + 1;
  }
  // Five standard deviations of a binomial count.
  const slack = 5 * Math.sqrt((trials / n) * (1 - 1 / n));
  for (const count of seen.flat()) expect(Math.abs(count - trials / n)).toBeLessThan(slack);
});

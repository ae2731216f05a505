import { expect, test } from "vitest";
import { pages } from "./kernels.ts";
import { mutate } from "./mutants.ts";
import { survivorOf, survivors } from "./survivors.ts";

const page = `#include "common/types.cuh"
// if (i < n) in a comment
template <class T, int N>
void f(int n, int d, const float* x, float* y) {
    for (int j = 0; j < N; ++j) {
        if (j >= n || d < 0) return;
    }
    const int end = min(n, 4 * max(d, 1));
    for (int i = 0; i < end; ++i) y[i] = i < d && seen(i) ? x[i] : 0.0f;
    copy_async_wait<1>();
    __syncthreads();
    end += d < n ? d : 0;
}
#define KERNEL_F(NAME) if (1 < 2) f()
`;

test("barriers, limits and comparisons are found, each with a switch in its place", () => {
  const { text, mutants } = mutate("kernels/f.cu", page, 7);
  expect(mutants.map(({ id, line, change }) => `${id} ${line} ${change}`)).toEqual([
    "7 6 j >= n → false",
    "8 6 d < 0 → false",
    "9 8 min without 4 * max(d, 1)",
    "10 8 min without n",
    "11 8 max without 1",
    "12 8 max without d",
    "13 9 one step more",
    "14 9 i < d → true",
    "15 10 removed",
    "16 10 one group fewer",
    "17 11 removed",
    "18 12 d < n → true",
  ]);
  const lines = text.split("\n");
  expect(lines).toHaveLength(page.split("\n").length);
  expect(lines[5]).toBe("        if ((!MUTANT(7) && (j >= n)) || (!MUTANT(8) && (d < 0))) return;");
  expect(lines[8]).toContain("i < end + MUTANT(13); ++i) y[i] = (MUTANT(14) || (i < d)) && seen(i) ?");
  expect(lines[9]).toBe("    if (!MUTANT(15)) if (MUTANT(16)) copy_async_wait<(1) + 1>(); else copy_async_wait<1>();");
  expect(lines[10]).toBe("    if (!MUTANT(17)) __syncthreads();");
  expect(lines[11]).toBe("    end += (MUTANT(18) || (d < n)) ? d : 0;");
  expect(lines[13]).toBe("#define KERNEL_F(NAME) if (1 < 2) f()");
});

test("every sentence of survivors.ts belongs to a mutant of the kernels as they are", () => {
  const stems = [...new Set(survivors.map(({ file }) => file))];
  expect(stems.every((file) => /^kernels\/(?:common\/)?\w+\.cuh?$/.test(file))).toBe(true);
  const known = pages(
    () => [],
    () => {},
  ).flatMap(({ mutants }) => mutants.map(survivorOf));
  expect(survivors.filter((survivor) => !known.includes(survivor))).toEqual([]);
});

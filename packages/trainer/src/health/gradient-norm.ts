// Gradients that are very large, or grow.
import { significant } from "@tunesmith/core";
import { type HealthRule, median } from "./rule.ts";

/** A norm above this is no gradient of a run that goes well. */
const limit = 100;
/** Blocks of steps whose medians must rise one after another, the steps of one, and by which factor in all. */
const [blocks, length, growth] = [5, 10, 5];

const clipping = (maxGradNorm: number | null) =>
  maxGradNorm === null || maxGradNorm === 0 ? "set maxGradNorm (1 is usual)" : `maxGradNorm ${maxGradNorm} clips it`;

/** A gradient norm over 100, before clipping. */
export const gradientNorm: HealthRule = {
  name: "gradient-norm",
  check({ event, run, steps, rows }) {
    const last = steps.at(-1);
    if (event !== "step" || last === undefined || !(last.gradNorm > limit)) return null;
    const worst = [...rows].sort((a, b) => b.loss - a.loss).slice(0, 3);
    return {
      value: last.gradNorm,
      message: `the gradient norm of step ${last.step} is ${significant(last.gradNorm)}, above ${limit}`,
      remedy: `lower learningRate or lengthen warmupSteps, and look at the rows with the highest loss; ${clipping(run.maxGradNorm)}`,
      rows: worst.map(({ row }) => row),
    };
  },
};

/** A gradient norm that has risen five times in a row, over ten steps each, to five times what it was. */
export const gradientNormGrowing: HealthRule = {
  name: "gradient-norm-growing",
  check({ event, run, steps }) {
    const newest = steps.slice(-blocks * length).map(({ gradNorm }) => gradNorm);
    if (event !== "step" || newest.length < blocks * length || !newest.every(Number.isFinite)) return null;
    const medians = Array.from({ length: blocks }, (_, n) => median(newest.slice(n * length, (n + 1) * length)));
    const [first = 0, last = 0] = [medians[0], medians.at(-1)];
    if (!medians.every((value, n) => n === 0 || value > (medians[n - 1] as number))) return null;
    // Small norms may grow as they like: an adapter whose B begins at zero has next to none in A.
    if (last < growth * first || last < 1) return null;
    return {
      value: last,
      message: `the gradient norm is growing: from ${significant(first)} to ${significant(last)} within ${blocks * length} steps, and higher with every ${length}`,
      remedy: `lower learningRate; ${clipping(run.maxGradNorm)}`,
    };
  },
};

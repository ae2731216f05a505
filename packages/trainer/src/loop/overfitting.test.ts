import { expect, test } from "vitest";
import { watchOverfitting } from "./overfitting.ts";
import type { TrainerState } from "./state.ts";

/** Which of the evaluations gave a warning. */
function warned(evaluations: [trainLoss: number, evalLoss: number][]): boolean[] {
  const state: Pick<TrainerState, "recent" | "since_eval"> = { recent: [], since_eval: { lossSum: 0, weightSum: 0 } };
  return evaluations.map(([trainLoss, evalLoss]) => {
    state.since_eval = { lossSum: trainLoss * 10, weightSum: 10 };
    return watchOverfitting(state, evalLoss) !== null;
  });
}

test("warns at the third rise of the evaluation loss while the training loss falls", () => {
  expect(
    warned([
      [5, 1],
      [4, 2],
      [3, 3],
      [2, 4],
      [1, 5],
    ]),
  ).toEqual([false, false, false, true, false]);
});

test("is silent while both losses move together", () => {
  expect(
    warned([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 4],
    ]),
  ).toEqual([false, false, false, false]);
});

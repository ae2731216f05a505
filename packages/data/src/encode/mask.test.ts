import { expect, test } from "vitest";
import { countTrained, IGNORE_INDEX, labelAll, labelAssistant, labelCompletion } from "./mask.ts";

test("whatever the spans, a label is the id itself or ignored, and trained turns are exactly covered", () => {
  let state = 11;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let n = 0; n < 200; n += 1) {
    const ids = Int32Array.from({ length: 1 + random(40) }, () => random(100));
    const cuts = Array.from({ length: 2 * random(4) }, () => random(ids.length + 1)).sort((a, b) => a - b);
    const turns = Int32Array.from({ length: cuts.length / 2 }, (_, turn) => turn);
    const isTrained = (turn: number) => turn % 2 === 0;
    const labels = labelAssistant({ ids, spans: Int32Array.from(cuts), turns }, isTrained);
    for (const [t, label] of labels.entries()) {
      const inside = Array.from(turns).some(
        (turn) => isTrained(turn) && t >= (cuts[2 * turn] as number) && t < (cuts[2 * turn + 1] as number),
      );
      expect(label).toBe(inside ? ids[t] : IGNORE_INDEX);
    }
  }
});

test("the source ids are never written to", () => {
  const ids = Int32Array.of(1, 2, 3);
  expect(labelCompletion(ids, 2)).toEqual(Int32Array.of(IGNORE_INDEX, IGNORE_INDEX, 3));
  labelAll(ids).fill(0);
  expect(ids).toEqual(Int32Array.of(1, 2, 3));
});

test("the first position never counts as trained", () => {
  expect(countTrained(Int32Array.of(5, IGNORE_INDEX, 6))).toBe(1);
  expect(countTrained(Int32Array.of(5))).toBe(0);
});

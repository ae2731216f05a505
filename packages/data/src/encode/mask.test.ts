import { expect, test } from "vitest";
import { countTrained, IGNORE_INDEX, labelAll, labelAssistant, labelCompletion, supervise, weighted } from "./mask.ts";

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
    const encoded = { ids, spans: Int32Array.from(cuts), turns };
    const { labels, weights } = labelAssistant(encoded, (turn) => (isTrained(turn) ? 1 : 0), 0);
    expect(weights).toBeUndefined();
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
  expect(labelCompletion(ids, 2, 0)).toEqual({ labels: Int32Array.of(IGNORE_INDEX, IGNORE_INDEX, 3) });
  labelAll(ids).labels.fill(0);
  expect(ids).toEqual(Int32Array.of(1, 2, 3));
});

test("the first position never counts as trained", () => {
  expect(countTrained(Int32Array.of(5, IGNORE_INDEX, 6))).toBe(1);
  expect(countTrained(Int32Array.of(5))).toBe(0);
});

test("a token of weight 0 has no label, and weights that are all 1 are none", () => {
  const ids = Int32Array.of(5, 6, 7);
  expect(supervise(ids, Float32Array.of(0, 0.5, 1))).toEqual({
    labels: Int32Array.of(IGNORE_INDEX, 6, 7),
    weights: Float32Array.of(0, 0.5, 1),
  });
  expect(supervise(ids, Float32Array.of(1, 0, 1))).toEqual({ labels: Int32Array.of(5, IGNORE_INDEX, 7) });
});

test("a factor weighs what is trained, and nothing else", () => {
  const ids = Int32Array.of(5, 6, 7);
  const half = { labels: Int32Array.of(IGNORE_INDEX, 6, 7), weights: Float32Array.of(0, 0.5, 0.5) };
  expect(weighted({ ids, ...labelCompletion(ids, 1, 0) }, 0.5)).toEqual(half);
  expect(weighted({ ids, ...half }, 2)).toEqual({ labels: half.labels });
  expect(weighted({ ids, ...half }, 0).labels.every((label) => label === IGNORE_INDEX)).toBe(true);
});

import { expect, test } from "vitest";
import { EntropyControl } from "./entropy-control.ts";

const options = {
  ...{ useAdaptiveEntropy: true, entropyCoef: 0.02, entropyTarget: 1, entropyCoefDelta: 0.01 },
  ...{ entropyCoefMin: 0.01, entropyCoefMax: 0.03 },
};

test("the factor stays between its bounds, and is applied after a step of at most the target alone", () => {
  const control = new EntropyControl(options);
  const seen = [2, 2, 1, 0.5, 0.5].map((entropy) => {
    control.after({ sum: entropy * 4, tokens: 4 });
    return [Number(control.coef.toFixed(4)), Number(control.applied.toFixed(4))];
  });
  expect(seen).toEqual([
    [0.01, 0],
    [0.01, 0],
    [0.02, 0.02],
    [0.03, 0.03],
    [0.03, 0.03],
  ]);
});

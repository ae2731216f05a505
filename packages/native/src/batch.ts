// What goes along with a pass on its way in: arrays are checked for their kind; what they hold is checked by the engine.
import type { Batch, Coefficients, Objective, TokenValueName, TokenValueOptions } from "@tunesmith/core";
import type { Native } from "./binding.ts";
import { array, json, number, object, refuse, typedArray } from "./check.ts";

/** The arrays of a batch that the engine reads; `microBatch` is for whoever makes metrics. */
export function nativeBatch(place: string, batch: Batch): Native.Batch {
  const { inputIds, labels, positions, sequenceStarts, weights, rowIds } = object(`${place}.batch`, batch);
  return {
    inputIds: typedArray(`${place}.batch.inputIds`, inputIds, "Int32Array"),
    labels: typedArray(`${place}.batch.labels`, labels, "Int32Array"),
    positions: typedArray(`${place}.batch.positions`, positions, "Int32Array"),
    sequenceStarts: typedArray(`${place}.batch.sequenceStarts`, sequenceStarts, "Int32Array"),
    ...(weights === undefined ? {} : { weights: typedArray(`${place}.batch.weights`, weights, "Float32Array") }),
    rowIds: typedArray(`${place}.batch.rowIds`, rowIds, "Int32Array"),
  };
}

/** An objective as the engine reads it; which ones there are is the engine's to know. */
export function objectiveJson(place: string, objective: Objective): string {
  return json(`${place}.objective`, objective);
}

/** Which values are asked for beside those that are always given, and at which temperature. */
export function extraValues(place: string, { values = [], temperature }: TokenValueOptions): Native.ExtraValues {
  const known: readonly TokenValueName[] = ["logSumSquares", "meanLogit"];
  for (const [n, name] of array(`${place}.values`, values).entries())
    if (!known.includes(name)) refuse(`${place}.values[${n}]`, known.join(" or "), name);
  return {
    logSumSquares: values.includes("logSumSquares"),
    meanLogit: values.includes("meanLogit"),
    ...(temperature !== undefined && { temperature: number(`${place}.temperature`, temperature, 0) }),
  };
}

/** The arrays of coefficients that are given. */
export function nativeCoefficients(place: string, coefficients: Coefficients): Native.Coefficients {
  const given = object(`${place}.coefficients`, coefficients);
  const names = ["logProb", "entropy", "logSumExp", "meanLogProb"] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const values = given[name];
      return values === undefined ? [] : [[name, typedArray(`${place}.${name}`, values, "Float32Array")]];
    }),
  );
}

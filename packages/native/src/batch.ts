// A batch on its way in: its arrays checked for their kind; what they hold is checked by the engine.
import type { Batch } from "@tunesmith/core";
import type { Native } from "./binding.ts";
import { object, typedArray } from "./check.ts";

/** The arrays the engine reads; `microBatch` is for whoever makes metrics. */
export function nativeBatch(place: string, batch: Batch): Parameters<Native.Session["evaluate"]> {
  const { inputIds, labels, positions, sequenceStarts, weights, rowIds } = object(`${place}.batch`, batch);
  return [
    typedArray(`${place}.batch.inputIds`, inputIds, "Int32Array"),
    typedArray(`${place}.batch.labels`, labels, "Int32Array"),
    typedArray(`${place}.batch.positions`, positions, "Int32Array"),
    typedArray(`${place}.batch.sequenceStarts`, sequenceStarts, "Int32Array"),
    weights === undefined ? null : typedArray(`${place}.batch.weights`, weights, "Float32Array"),
    typedArray(`${place}.batch.rowIds`, rowIds, "Int32Array"),
  ];
}

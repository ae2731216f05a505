import { sftConfigSchema, snakeCase } from "@tunesmith/core";
import { expect, test } from "vitest";
import { sftMetrics } from "./metrics.ts";

test("metricForBestModel offers exactly the metrics that say which model is better", () => {
  const comparable = Object.entries(sftMetrics.eval).filter(([, better]) => better !== null);
  const { options } = sftConfigSchema.shape.metricForBestModel.unwrap();
  expect(options).toEqual(comparable.map(([name]) => snakeCase(name)));
});

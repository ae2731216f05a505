// Options of where a model computes.
import * as z from "zod";
import { count, grouped } from "./declare.ts";

/** Where a model computes. */
export const deviceOptionsSchema = z
  .strictObject(
    grouped("run", {
      device: z
        .enum(["auto", "cuda", "cpu"])
        .default("auto")
        .describe("Where to compute. Default auto: the best there is."),
      threads: count
        .max(1024)
        .nullable()
        .default(null)
        .describe("CPU threads; results do not depend on it. Default: the physical cores."),
    }),
  )
  .meta({ title: "DeviceOptions", description: "Where a model computes." });

/** Options with their defaults. */
export type ParsedDeviceOptions = z.output<typeof deviceOptionsSchema>;

// A data set between its preparation and its use: what a cache keeps.
import type { Item } from "../encode/item.ts";
import type { DataReport } from "../quality/report.ts";
import type { KeptData } from "./kept-rows.ts";

/** Takes ids as they come, so that they need not stay in memory. */
export interface IdSink {
  append(ids: Int32Array): Promise<void>;
}

/** A data set with its whole report; without the items of its first rows where they come from a file. */
export type BuiltExamples = Omit<KeptData, "report" | "items"> & { report: DataReport; items?: Item[] };

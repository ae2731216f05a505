// What the package offers: from rows to batches.

export type { LossOptions } from "./encode/encode.ts";
export { promptsOfItems, promptsOfTexts, type SamplePrompt } from "./encode/held-out.ts";
export { countTrained, IGNORE_INDEX } from "./encode/mask.ts";
export type { Example } from "./example.ts";
export type { FormatName, Item } from "./formats/format.ts";
export { coalesce } from "./pack/coalesce.ts";
export { collate, type Placed } from "./pack/collate.ts";
export { type PreparedData, type PrepareOptions, prepare } from "./prepare.ts";
export type { DataReport } from "./quality/report.ts";
export type { DatasetSource, Row } from "./sources/rows.ts";

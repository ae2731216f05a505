// What the package offers: from rows to batches.
export { collate, type Placed } from "./collate.ts";
export type { LossOptions } from "./encode.ts";
export type { Example } from "./example.ts";
export type { FormatName, Item } from "./formats/format.ts";
export { promptsOfItems, promptsOfTexts, type SamplePrompt } from "./held-out.ts";
export { countTrained, IGNORE_INDEX } from "./mask.ts";
export { type PreparedData, type PrepareOptions, prepare } from "./prepare.ts";
export type { DataReport } from "./report.ts";
export type { DatasetSource, Row } from "./rows.ts";

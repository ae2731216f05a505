// What the package offers: from rows to batches.
export { promptsOfItems, promptsOfTexts } from "./encode/held-out.ts";
export type { Item, LossOptions, SamplePrompt } from "./encode/item.ts";
export { countTrained, IGNORE_INDEX } from "./encode/mask.ts";
export type { Example } from "./example.ts";
export type { ColumnNames } from "./formats/columns.ts";
export type { FormattedRow, FormattingFunc } from "./formats/formatting.ts";
export { formats } from "./formats/index.ts";
export { checkedMessages } from "./formats/messages.ts";
export { coalesce } from "./pack/coalesce.ts";
export { collate, type Placed } from "./pack/collate.ts";
export { type PreparedData, type PrepareOptions, prepare } from "./prepare.ts";
export type { NotedRows } from "./quality/notes.ts";
export type { DataReport } from "./quality/report.ts";
export { beyondEmbedding } from "./quality/token-range.ts";
export type { OnBadRow, SkippedRows } from "./sources/row-errors.ts";
export type { DatasetSource, Row } from "./sources/rows.ts";

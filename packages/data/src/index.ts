// What the package offers: from rows to batches.

export { type AuditOptions, audit } from "./audit/audit.ts";
export type { Coverage } from "./audit/coverage.ts";
export {
  type AuditCode,
  type AuditFinding,
  type AuditLimits,
  type AuditSeverity,
  auditCodes,
  type FoundRow,
} from "./audit/finding.ts";
export type { Judge, JudgedAnswer, JudgeEndpoint, JudgeFunction } from "./audit/judge.ts";
export type { AuditReport, FixedCopy } from "./audit/report.ts";
export { type RowScore, type RowScorer, SelectedRows, type SelectOptions, selectRows } from "./audit/select-rows.ts";
export type { CacheOptions } from "./cache/cache.ts";
export { tokenCacheFolder } from "./cache/folder.ts";
export { keptScores, type ScoresRequest } from "./cache/kept-scores.ts";
export { promptsOfItems, promptsOfTexts } from "./encode/held-out.ts";
export type { Item, LossOptions, SamplePrompt } from "./encode/item.ts";
export { countTrained, IGNORE_INDEX } from "./encode/mask.ts";
export type { CutTokens, TruncationMode } from "./encode/truncate.ts";
export type { Example, Examples } from "./examples/example.ts";
export type { ColumnNames } from "./formats/columns.ts";
export type { FormattedRow, FormattingFunc } from "./formats/formatting.ts";
export { formats } from "./formats/index.ts";
export { checkedMessages } from "./formats/messages.ts";
export { coalesce } from "./pack/coalesce.ts";
export { collate, type Placed } from "./pack/collate.ts";
export { type Packing, type PackingReport, type PackingStrategy, pack } from "./pack/packing.ts";
export type { Packs, Piece } from "./pack/packs.ts";
export { pairRows } from "./pack/pairs.ts";
export { type RowFacts, TrainingRows } from "./pack/training-rows.ts";
export { type WindowOptions, WindowPacker } from "./pack/window-packer.ts";
export { ExampleStream, type StreamedExample } from "./prepare/example-stream.ts";
export type { PartReport } from "./prepare/part-counts.ts";
export { type PreparedData, prepare } from "./prepare/prepare.ts";
export type { PrepareOptions, PrepareProgress } from "./prepare/prepare-options.ts";
export type { KeepOptions } from "./prepare/row-intake.ts";
export type { NotedRows } from "./quality/notes.ts";
export type { DataReport } from "./quality/report.ts";
export { beyondEmbedding } from "./quality/token-range.ts";
export {
  DatasetMix,
  isStream,
  type MixEntry,
  type MixOptions,
  type MixStop,
  mixDatasets,
  mixStops,
  originOf,
} from "./sources/mix.ts";
export type { Row } from "./sources/row.ts";
export type { OnBadRow, SkippedRows } from "./sources/row-errors.ts";
export {
  type DatasetEntry,
  type DatasetSource,
  DerivedDataset,
  isDatasetSource,
  NamedFiles,
  nameOf,
  pathsOf,
  type ReadOptions,
  type RowIterable,
  type RowObject,
  type RowReader,
  type StreamPart,
} from "./sources/source.ts";
export {
  DatasetSplit,
  type SplitDatasets,
  type SplitOptions,
  type SplitStrategy,
  splitDataset,
  splitStrategies,
} from "./sources/split.ts";

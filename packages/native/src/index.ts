// What the package offers: models, tokenizers, files in other formats, and facts about this machine.
export {
  type CompareOptions,
  compareMerged,
  defaultShardBytes,
  type ExportControl,
  type ExportProgress,
  exportControlKeys,
  exportGguf,
  exportGgufLora,
  type GgufExportOptions,
  type GgufLoraOptions,
  type GgufQuantization,
  ggufQuantizations,
  type LogitCheck,
  type MergeDtype,
  type MergeOptions,
  type MergeSource,
  mergeDtypes,
  mergeModel,
} from "./export.ts";
export { type LoadModelOptions, loadModel } from "./model.ts";
export { similarity } from "./similarity.ts";
export { sixteenBitDtype, storedDtype } from "./stored-dtype.ts";
export { type SystemInfo, systemInfo } from "./system-info.ts";
export { loadTokenizer } from "./tokenizer.ts";

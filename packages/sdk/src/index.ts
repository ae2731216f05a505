// What the SDK offers: every package by one name, models of the hub, and the trainer.
export * from "@tunesmith/core";
export * from "@tunesmith/curriculum";
export * from "@tunesmith/data";
export {
  compareMerged,
  type ExportControl,
  type ExportProgress,
  exportGguf,
  exportGgufLora,
  type GgufQuantization,
  ggufQuantizations,
  type LogitCheck,
  loadModel,
  type MergeDtype,
  type MergeSource,
  mergeDtypes,
  mergeModel,
  type SystemInfo,
  systemInfo,
} from "@tunesmith/native";
export * from "@tunesmith/trainer";
export {
  FastLanguageModel,
  PeftModel,
  type PretrainedOptions,
  type TextGenerationOptions,
} from "./fast-language-model.ts";
export { HubUnreachableError } from "./hub/request.ts";
export { type HubSettings, hubSettings } from "./hub/settings.ts";
export { type DownloadOptions, type DownloadProgress, downloadModel } from "./hub/snapshot.ts";
export { resolveModel } from "./resolve-model.ts";
export { type GgufFile, type GgufOptions, type MergedOptions, type QuantizationMethod, sixteenBit } from "./save.ts";
export { SFTTrainer } from "./sft-trainer.ts";
export { parseSize } from "./size.ts";

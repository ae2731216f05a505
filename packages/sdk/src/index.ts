export * from "@tunesmith/core";
export * from "@tunesmith/curriculum";
export * from "@tunesmith/data";
export { HubUnreachableError } from "./hub/request.ts";
export { type HubSettings, hubSettings } from "./hub/settings.ts";
export { type DownloadOptions, type DownloadProgress, downloadModel } from "./hub/snapshot.ts";
export { resolveModel } from "./resolve-model.ts";

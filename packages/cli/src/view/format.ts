// Durations, counts, bytes and shares as people read them.
export { bytes, duration, percent, plural, shortCount as count, shortHash, significant } from "@tunesmith/core";

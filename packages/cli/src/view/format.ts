// Durations, counts, bytes and shares as people read them.
export { bytes, duration, percent, plural, shortCount as count, significant } from "@tunesmith/core";

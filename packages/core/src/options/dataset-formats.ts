// The names of all data formats; written by `npm run generate` from packages/data/src/formats.

/** Names of all data formats, in the order in which a row is compared with them. */
export const datasetFormats = [
  "tokenized",
  "messages",
  "prompt-completion",
  "sharegpt",
  "alpaca",
  "text",
  "openai-preference",
  "preference",
  "prompt-only",
] as const;

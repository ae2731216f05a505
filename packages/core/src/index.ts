// What every other package shares: the two doors' interfaces, the errors, and how files are written.
export * from "./batch.ts";
export * from "./conversation.ts";
export * from "./errors.ts";
export * from "./files/index.ts";
export * from "./generate.ts";
export * from "./options/index.ts";
export * from "./session.ts";
export * from "./tokenizer.ts";

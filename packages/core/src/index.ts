// What every other package shares: the two doors' interfaces, their options, the errors, and how files are written.
export * from "./batch.ts";
export * from "./conversation.ts";
export * from "./errors.ts";
export * from "./files/index.ts";
export * from "./generate.ts";
export * from "./generator.ts";
export * from "./json/index.ts";
export * from "./model.ts";
export * from "./model-origin.ts";
export * from "./objective.ts";
export * from "./options/index.ts";
export * from "./plural.ts";
export * from "./session.ts";
export * from "./templates/chat-template.ts";
export * from "./templates/own-templates.ts";
export * from "./terminal.ts";
export * from "./tokenizer.ts";

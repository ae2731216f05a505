// What the package `tunesmith` offers: the whole SDK, and the parts of the command line that programs may use.
export * from "@tunesmith/sdk";
export { environmentLine } from "./environment-line.ts";
export { reportFailure } from "./failure.ts";
export { openModel } from "./load-model.ts";
export { runTraining } from "./run-session.ts";
export { display, RunView } from "./run-view.ts";
export type { Output } from "./screen.ts";

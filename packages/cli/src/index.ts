// What the package `tunesmith` offers: the whole SDK, and the parts of the command line that programs may use.
export * from "@tunesmith/sdk";
export { openModel } from "./commands/load-model.ts";
export { type RunTrainingOptions, runTraining } from "./commands/run-session.ts";
export { display } from "./view/display.ts";
export { environmentLine } from "./view/environment-line.ts";
export { reportFailure } from "./view/failure.ts";
export { RunView } from "./view/run-view.ts";
export type { Output } from "./view/screen.ts";

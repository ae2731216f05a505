// What `tunesmith doctor` does.
import type { Define } from "./surroundings.ts";

export const doctor: Define = (checking, { streams, finish }) => {
  checking.action(async () => finish(await (await import("../commands/doctor.ts")).doctor(streams)));
};

// The nightly parts `checkpoints`, `long`, `numbers`, `failures`, `hub` and `data`: what a run survives, with the cases of a release.
import { trialsPart } from "./trials.ts";

const sft = (name: string) => `packages/trainer/src/sft/${name}.test.ts`;
const faults = (name: string) => `test/faults/${name}.test.ts`;

export const checkpoints = trialsPart(
  "Checkpoints and resume; a case is a kill, a refused operation, a damaged file, a pair of processes.",
  [
    { id: "R1 R2 killed at random", trials: 1000, tests: [[faults("kill")]] },
    {
      id: "R3 killed at every operation",
      trials: 1,
      tests: [[faults("crash")], [faults("replace")], [sft("resume"), "a crash at any file operation"]],
    },
    { id: "R4 every operation refused", trials: 1, tests: [[sft("disk")]] },
    { id: "R5 full disks", trials: 20, tests: [[faults("full-disk")]] },
    { id: "R6 damaged files", trials: 5000, tests: [[sft("damage")], [sft("run-state")]] },
    { id: "R7 what is deleted", trials: 25_000, tests: [["packages/trainer/src/loop/rotation.test.ts"]] },
    {
      id: "R8 resumed at every step",
      trials: 1,
      tests: [
        [sft("resume")],
        ["packages/trainer/src/loop/recipe.test.ts"],
        ["test/invariants/determinism.test.ts", "resume"],
      ],
    },
    {
      id: "R10 two in one folder",
      trials: 200,
      tests: [[faults("one-writer")], ["packages/core/src/files/lock.test.ts"]],
    },
  ],
);

export const long = trialsPart("Long runs; a case is a step, a session, a second.", [
  { id: "L1 memory over the steps", trials: 200_000, tests: [[faults("long-run"), "memory"]] },
  {
    id: "L3 L4 memory, handles, threads over sessions",
    trials: 5000,
    tests: [["packages/native/src/process.test.ts", "disposed"]],
  },
  { id: "L6 the event loop", trials: 300, tests: [[faults("long-run"), "event loop"]] },
]);

export const numbers = trialsPart("Numbers and determinism; a case is a run, an injected fault, a test.", [
  { id: "D1 D2 the same bits", trials: 20, tests: [["test/invariants/determinism.test.ts"]] },
  {
    id: "D4 values that are not finite",
    trials: 100,
    tests: [[sft("failing")], ["packages/native/src/session.test.ts", "not finite"]],
  },
  { id: "D5 nothing to train", trials: 1, tests: [[sft("before-the-run")]] },
]);

export const failures = trialsPart(
  "Failures; a case is an abort, a worker, an event, a folder, a secret, a file of rows.",
  [
    { id: "H1 aborted at random", trials: 200, tests: [[faults("abort")]] },
    { id: "H2 workers and processes that end", trials: 200, tests: [["packages/native/src/process.test.ts", "end"]] },
    {
      id: "H3 memory that ends",
      trials: 1,
      tests: [{ crate: "engine", name: "any_allocation" }, [sft("failing"), "memory that ends"]],
    },
    { id: "H4 callbacks that throw", trials: 1, tests: [[sft("failing"), "callback"]] },
    { id: "H6 hostile names", trials: 1, tests: [["packages/sdk/src/hub"]] },
    { id: "H7 surroundings", trials: 1, tests: [[faults("surroundings")]] },
    {
      id: "H8 no GPU",
      trials: 1,
      tests: [["packages/native/src/model.test.ts"], ["packages/cli/src/view/environment-line.test.ts"]],
    },
    { id: "H10 secrets", trials: 1, tests: [[faults("secrets")]] },
  ],
);

export const hub = trialsPart("Hostile hubs; a case is a script of answers, then a hub that behaves.", [
  { id: "H5 hostile scripts", trials: 1000, tests: [[faults("hostile-hub"), "whatever"]] },
]);

const rows = (room: string) => `packages/data/src/${room}.test.ts`;

export const data = trialsPart("Rows of strangers; a case is a mutated row, file or chat template.", [
  { id: "mutated rows of every format", trials: { timed: 9 }, tests: [[rows("formats/fuzz")]] },
  { id: "rows of any bytes", trials: { timed: 4 }, tests: [[rows("sources/fuzz")]] },
  {
    id: "mutated rows of JSONL and CSV",
    trials: { timed: 2 },
    tests: [[rows("sources/mutations"), "any mutation of any row"]],
  },
  { id: "mutated chat templates", trials: { timed: 1 }, tests: [{ crate: "text", name: "mutated_templates" }] },
  {
    id: "texts whose words are remembered, as the library encodes them",
    trials: 20_000,
    tests: [{ crate: "text", name: "parts::" }],
  },
  {
    id: "mutated bytes of gzip and Parquet",
    trials: { timed: 2 },
    tests: [[rows("sources/mutations"), "of its bytes"]],
  },
]);

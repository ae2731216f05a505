// Every command by name and description; what else there is of one is read when a command line names it.
import type { Define } from "./surroundings.ts";

/** A command, or one below another. */
export interface Entry {
  /** Its words, apart by spaces. */
  path: string;
  description: string;
  /** Reads what it takes and does; a command that only holds others has none. */
  define?(): Promise<Define>;
}

const training = () => import("./training.ts");
const runs = () => import("./runs.ts");
const data = () => import("./data.ts");
const models = () => import("./models.ts");
const writing = () => import("./writing.ts");

/** In the order of the help; what is below a command comes after it. */
export const table: readonly Entry[] = [
  {
    path: "train",
    description: "fine-tune a model on your data",
    define: async () => (await training()).train,
  },
  {
    path: "dpo",
    description: "train on pairs of a chosen and a rejected answer (direct preference optimization)",
    define: async () => (await training()).dpo,
  },
  {
    path: "sft",
    description: "fine-tune with the arguments of trl sft, as they stand",
    define: async () => (await training()).sft,
  },
  {
    path: "sweep",
    description:
      "train every combination of the values that a file lists; the same command goes on after an interruption",
    define: async () => (await training()).sweep,
  },
  {
    path: "estimate",
    description:
      "tell the memory a run would take and where it fits, without reading weights; exit code 1 when it does not fit here",
    define: async () => (await runs()).estimate,
  },
  { path: "inspect", description: "look at what a run would train on" },
  {
    path: "inspect data",
    description: "show the first rows token by token: trained, weighted or context only",
    define: async () => (await data()).inspectData,
  },
  {
    path: "resume",
    description: "continue an interrupted run from its newest whole checkpoint, or a finished one with more steps",
    define: async () => (await runs()).resume,
  },
  { path: "runs", description: "look at the folders of runs" },
  {
    path: "runs list",
    description: "list the runs in a folder: how far they are, their loss, whether they can be resumed",
    define: async () => (await runs()).list,
  },
  {
    path: "runs compare",
    description: "show which options of runs differ, and what came of each",
    define: async () => (await runs()).compare,
  },
  {
    path: "chat",
    description: "talk to a model, or to the result of a run",
    define: async () => (await models()).chat,
  },
  {
    path: "eval",
    description: "measure a model, or the result of a run, on held-out rows, with its base next to it",
    define: async () => (await models()).evaluate,
  },
  {
    path: "merge",
    description: "write a model with its adapter merged in, as a Hugging Face folder, and check its logits",
    define: async () => (await writing()).merge,
  },
  {
    path: "export",
    description: "write a model for other programs, or check that one of them reads what was written",
    define: async () => (await writing()).exporting,
  },
  {
    path: "export gguf",
    description: "write a model with its adapter merged in, or the adapter alone, for llama.cpp",
    define: async () => (await writing()).gguf,
  },
  {
    path: "export card",
    description: "write the model card of a finished run: data, settings, curve, evaluation, without paths",
    define: async () => (await writing()).card,
  },
  {
    path: "doctor",
    description: "check this machine: Node, engine, memory, disk, hub; or a data set: doctor data FILE",
    define: async () => (await import("./doctor.ts")).doctor,
  },
  {
    path: "doctor data",
    description: "look for what in a data set would do harm to a training; exit code 1 when there is an error",
    define: async () => (await data()).doctorData,
  },
  {
    path: "bench",
    description: "measure how fast this machine trains, generates and tokenises, on generated rows and weights",
    define: async () => (await import("./bench.ts")).bench,
  },
  { path: "synth", description: "make training rows with a language model" },
  {
    path: "synth self-instruct",
    description: "make rows of a few seed tasks; a run that was interrupted goes on with the same command",
    define: async () => (await data()).selfInstruct,
  },
];

/** What a command line names: a command, and those above it. Values of flags that are no command's name do no harm. */
export function namedBy(argv: readonly string[]): readonly Entry[] {
  const named: Entry[] = [];
  for (const word of argv) {
    if (word === "--") break;
    const above = named.at(-1);
    const path = above === undefined ? word : `${above.path} ${word}`;
    const found = table.find((entry) => entry.path === path);
    if (found !== undefined) named.push(found);
  }
  return named;
}

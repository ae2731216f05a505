// How many files of code a command opens before its first line: opening them is most of what a user waits for, and unlike that time
// it is the same on a busy machine.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstallCheck } from "./check.ts";
import { commandOf, type Place } from "./place.ts";

/** Asks the debugger of which files code has come, and writes them down at the first line, or at the end. */
const counting = `
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
const session = new Session();
const files = [];
session.connect();
session.on("Debugger.scriptParsed", ({ params: { url } }) => {
  if (url.startsWith("file:") && url !== import.meta.url) files.push(url);
});
session.post("Debugger.enable");
let isTold = false;
const tell = () => {
  if (!isTold) writeFileSync("opened.json", JSON.stringify(files));
  isTold = true;
};
const { write } = process.stdout;
process.stdout.write = (...args) => {
  tell();
  return write.apply(process.stdout, args);
};
process.on("exit", tell);
`;

/** Files of code that a command has opened when it writes its first line. */
async function openedBy(place: Place, args: readonly string[]): Promise<string[]> {
  writeFileSync(join(place.folder, "counting.mjs"), counting);
  await place.node(["--import", "./counting.mjs", commandOf(place.folder), ...args]);
  return JSON.parse(readFileSync(join(place.folder, "opened.json"), "utf8")) as string[];
}

/**
 * Command lines and how many files they may open; measured were 7, 7, 16 and 27 of about 500 that a release before had opened. Below a
 * limit there is room for a few more parts, none for the trainer or a dependency.
 */
const limits: readonly [args: string[], files: number][] = [
  [["--version"], 10],
  [["--help"], 10],
  [["doctor"], 22],
  // Its model is looked for once the line has been written.
  [["train", "--model", "./missing", "--data", "train.jsonl"], 36],
];

export const openedFiles: InstallCheck = {
  id: "files opened before the first line",
  async run(place) {
    const counts: string[] = [];
    for (const [args, limit] of limits) {
      const files = await openedBy(place, args);
      if (files.length === 0 || files.length > limit)
        throw new Error(`tunesmith ${args.join(" ")}: expected at most ${limit} files, got\n${files.join("\n")}`);
      counts.push(`${args[0]} ${files.length}`);
    }
    return counts.join(", ");
  },
};

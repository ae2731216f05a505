// Runs a command line and gives its exit code.
import { setImmediate } from "node:timers/promises";
import { normaliseFlags } from "./flags.ts";
import { LostOutput } from "./lost-output.ts";
import { buildProgram, knownFlags } from "./program.ts";
import { errorEvent, reportFailure } from "./view/failure.ts";

/** Commands whose work is in files: it is done even where what they print is lost. */
const writing = ["train", "dpo", "sft", "sweep", "resume", "merge", "export", "synth"];

/** Runs the command line and sets the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const output = new LostOutput(process.stdout);
  process.stderr.on("error", () => {});
  const streams = { out: process.stdout, err: process.stderr };
  const program = buildProgram(streams, process.stdin, (code) => {
    process.exitCode = code;
  });
  try {
    await program.parseAsync(normaliseFlags(argv, knownFlags(program)), { from: "user" });
    // A stream tells of a refused write a moment later.
    await setImmediate();
    const failure = writing.includes(program.args[0] ?? "") ? null : output.failure();
    if (failure !== null) throw failure;
  } catch (error) {
    process.exitCode = reportFailure(error, process.stderr);
    const end = argv.indexOf("--");
    if (process.exitCode !== 0 && argv.slice(0, end === -1 ? argv.length : end).includes("--json"))
      process.stdout.write(errorEvent(error));
  }
}

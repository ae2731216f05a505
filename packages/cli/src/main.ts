// Runs a command line and gives its exit code.
import { setImmediate } from "node:timers/promises";
import { CommanderError } from "commander";
import { LostOutput } from "./lost-output.ts";
import { runProgram } from "./program.ts";

/** Commands whose work is in files: it is done even where what they print is lost. */
const writing = ["train", "dpo", "sft", "sweep", "resume", "merge", "export", "synth"];

/** Runs the command line and sets the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const output = new LostOutput(process.stdout);
  process.stderr.on("error", () => {});
  const finish = (code: number) => {
    process.exitCode = code;
  };
  const streams = { out: process.stdout, err: process.stderr };
  try {
    const program = await runProgram(argv, { streams, input: process.stdin, finish });
    // A stream tells of a refused write a moment later.
    await setImmediate();
    const failure = writing.includes(program.args[0] ?? "") ? null : await output.failure();
    if (failure !== null) throw failure;
  } catch (error) {
    // Help and version end so, and have been written.
    if (error instanceof CommanderError && error.exitCode === 0) return;
    const { errorEvent, reportFailure } = await import("./view/failure.ts");
    process.exitCode = reportFailure(error, process.stderr);
    const end = argv.indexOf("--");
    if (process.exitCode !== 0 && argv.slice(0, end === -1 ? argv.length : end).includes("--json"))
      process.stdout.write(errorEvent(error));
  }
}

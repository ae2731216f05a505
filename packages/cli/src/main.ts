// Runs a command line and gives its exit code.

import { normaliseFlags } from "./flags.ts";
import { buildProgram, knownFlags } from "./program.ts";
import { reportFailure } from "./view/failure.ts";

/** Runs the command line and sets the process's exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (head, less) is no error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit();
    throw error;
  });
  const streams = { out: process.stdout, err: process.stderr };
  const program = buildProgram(streams, process.stdin, (code) => {
    process.exitCode = code;
  });
  try {
    await program.parseAsync(normaliseFlags(argv, knownFlags(program)), { from: "user" });
  } catch (error) {
    process.exitCode = reportFailure(error, process.stderr);
  }
}

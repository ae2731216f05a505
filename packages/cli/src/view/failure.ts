// Reports an error in one line, and gives the exit code.
import { type ErrorCode, OptionError, type SerializedError, TunesmithError, terminalText } from "@tunesmith/core";
import { CommanderError } from "commander";
import pc from "picocolors";

/** Exit codes by error code; what is not listed exits with 1. */
const exitCodes: Partial<Record<ErrorCode, number>> = {
  OPTION_INVALID: 2,
  ARGUMENT_INVALID: 2,
  DATA_INVALID: 3,
  OUT_OF_MEMORY: 4,
  HEALTH_STOPPED: 5,
  ABORTED: 130,
};

/** Says what went wrong in one clear line, with a hint where there is one, and gives the exit code: 2 usage, 3 data, 4 memory, 5 health, 1 else. */
export function reportFailure(
  error: unknown,
  stderr: { write(text: string): unknown },
  env: NodeJS.ProcessEnv = process.env,
): number {
  // Commander has written its own message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const message = terminalText(error instanceof Error ? error.message : String(error));
  stderr.write(`${pc.red(`${nameOf(error)}:`)} ${message}\n`);
  if (TunesmithError.isInstance(error) && error.hint !== undefined) stderr.write(`${pc.dim("hint:")} ${error.hint}\n`);
  if (env.TUNESMITH_DEBUG === "1") stderr.write(`${terminalText(withCauses(error))}\n`);
  else if (!TunesmithError.isInstance(error)) stderr.write(pc.dim("TUNESMITH_DEBUG=1 shows where this comes from\n"));
  return TunesmithError.isInstance(error) ? (exitCodes[error.code] ?? 1) : 1;
}

/** The last line of `--json` where a command fails: an event of the type `error`. */
export function errorEvent(error: unknown): string {
  return `${terminalText(JSON.stringify({ type: "error", ...serialized(error) }))}\n`;
}

function serialized(error: unknown): SerializedError {
  if (error instanceof CommanderError)
    return new OptionError(error.message.replace(/^error: /u, "[command line] ")).toJSON();
  if (TunesmithError.isInstance(error)) return error.toJSON();
  const message = error instanceof Error ? error.message : String(error);
  return { name: nameOf(error), code: "INTERNAL", message };
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "Error";
}

function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? error.message;
  return error.cause === undefined ? own : `${own}\ncaused by ${withCauses(error.cause)}`;
}

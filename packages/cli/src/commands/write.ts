// What the commands that write models share: finding the model, progress, Ctrl-C.
import { AbortError, OptionError } from "@tunesmith/core";
import type { ExportControl, MergeSource } from "@tunesmith/sdk";
import pc from "picocolors";
import { percent } from "../view/format.ts";
import { Screen } from "../view/screen.ts";
import { Interrupt } from "./interrupt.ts";
import { revisionOf } from "./load-model.ts";
import { modelOf } from "./run-target.ts";
import type { Streams } from "./train.ts";

/** The local model that a command's argument names, its adapter, and what that is merged into. */
export async function sourceOf(target: string, flags: Record<string, unknown>): Promise<Required<MergeSource>> {
  const { model, revision, adapter, weights } = await modelOf(target, flags.adapter as string | undefined);
  const { loadIn4bit, bnb4bitBlocksize, bnb4bitUseDoubleQuant } = weights;
  if (loadIn4bit && adapter !== null && flags.base === undefined && flags.lora !== true) {
    throw new OptionError(
      "[--base] expected original or nf4, since this adapter was trained on weights of four bits, got nothing; nf4 gives " +
        "what was trained, original weights nearer to the model's own",
    );
  }
  const { resolveModel } = await import("@tunesmith/sdk");
  return {
    model: await resolveModel(model, revisionOf(revision)),
    adapter,
    base: choice("--base", flags.base ?? "original", ["original", "nf4"]),
    bnb4bitBlocksize,
    bnb4bitUseDoubleQuant,
  };
}

/** Runs a write with a status line, stopped by Ctrl-C. Gives the exit code: 0, or that of the signal. */
export async function runWrite(
  what: string,
  { err }: Streams,
  write: (control: Required<Pick<ExportControl, "signal" | "onProgress">>) => Promise<void>,
): Promise<number> {
  const screen = new Screen(err);
  const interrupt = new Interrupt(() => screen.settle());
  try {
    await write({
      signal: interrupt.signal,
      onProgress: ({ done, total }) => screen.status(`${what}: ${percent(done / Math.max(1, total))}`),
    });
    screen.settle();
    return 0;
  } catch (error) {
    screen.settle();
    if (!(error instanceof AbortError) || interrupt.exitCode === null) throw error;
    err.write(`${pc.yellow("stopped: nothing was written")}\n`);
    return interrupt.exitCode;
  } finally {
    interrupt.dispose();
  }
}

/** The key of an endpoint: it is in the environment, where no list of processes shows it. */
export function endpointKey(): { apiKey?: string } {
  const { OPENAI_API_KEY: apiKey = "" } = process.env;
  return apiKey === "" ? {} : { apiKey };
}

/** The value of a flag that has to be given. */
export function required(flag: string, value: unknown, what: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new OptionError(`[${flag}] expected ${what}, got nothing; give ${flag}`);
}

/** One of the values a flag may have. */
export function choice<T extends string>(flag: string, value: unknown, known: readonly T[]): T {
  const found = known.find((name) => name === value);
  if (found !== undefined) return found;
  throw new OptionError(`[${flag}] expected ${known.join(", ")}, got ${JSON.stringify(value)}; choose one of these`);
}

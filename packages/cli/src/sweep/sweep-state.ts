// What a sweep knows of its arms, in its folder: written after every evaluation, so that the same command goes on from there.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, fileOperation, makeFolders, OptionError, replaceFile } from "@tunesmith/core";
import * as z from "zod";
import type { Arm } from "./arms.ts";

const armSchema = z.object({
  name: z.string(),
  values: z.record(z.string(), z.unknown()),
  /** `stopped`: by the rule; `failed`: with the error in `reason`. */
  state: z.enum(["waiting", "running", "done", "stopped", "failed"]),
  reason: z.string().nullable(),
  evaluations: z.array(z.object({ step: z.number(), evalLoss: z.number() })),
});

const stateSchema = z.object({ identity: z.string(), arms: z.array(armSchema) });

/** An arm and what has become of it. */
export type ArmState = z.output<typeof armSchema>;

/** The evaluation of an arm with the lowest loss; null before the first. */
export function bestOf({ evaluations }: Pick<ArmState, "evaluations">): ArmState["evaluations"][number] | null {
  return evaluations.reduce<ArmState["evaluations"][number] | null>(
    (best, entry) => (best === null || entry.evalLoss < best.evalLoss ? entry : best),
    null,
  );
}

/** Name of the file in the folder of a sweep. */
export const sweepFileName = "sweep.json";

/** The state of a sweep, in memory and on the disk. */
export class SweepState {
  readonly #path: string;
  readonly #identity: string;
  readonly arms: ArmState[];

  private constructor(path: string, identity: string, arms: ArmState[]) {
    this.#path = path;
    this.#identity = identity;
    this.arms = arms;
  }

  /**
   * Opens or makes the state. A folder with a sweep of other options is an `OptionError`, a file that holds no state a `CheckpointError`.
   *
   * @param options of all arms, which decide what they are
   */
  static async open(folder: string, arms: readonly Arm[], options: object): Promise<SweepState> {
    await fileOperation("create", folder, () => makeFolders(folder));
    const path = join(folder, sweepFileName);
    const identity = createHash("sha256")
      .update(JSON.stringify([options, arms]))
      .digest("hex");
    const text = await fileOperation("read", path, () =>
      readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return null;
        throw error;
      }),
    );
    const fresh = arms.map((arm): ArmState => ({ ...arm, state: "waiting", reason: null, evaluations: [] }));
    if (text === null) return new SweepState(path, identity, fresh);
    const found = stateOf(text, path);
    if (found.identity === identity) return new SweepState(path, identity, found.arms);
    throw new OptionError(
      `[outputDir] expected a folder without another sweep, got ${folder}, whose sweep has other options; choose another, or give the same file to go on`,
    );
  }

  async save(): Promise<void> {
    await replaceFile(this.#path, `${JSON.stringify({ identity: this.#identity, arms: this.arms }, null, 2)}\n`);
  }
}

function stateOf(text: string, path: string): z.output<typeof stateSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  const { data } = stateSchema.safeParse(value);
  if (data !== undefined) return data;
  throw new CheckpointError(`[${path}] expected the state of a sweep, got something else; move it away to begin again`);
}

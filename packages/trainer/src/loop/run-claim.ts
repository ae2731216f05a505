// The claim of a run to its folder: made where absent, and locked against every other run.
import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import {
  CheckpointError,
  exists,
  FileLock,
  FileSystemError,
  LockedError,
  list,
  makeFolder,
  remove,
} from "@tunesmith/core";

const lockName = ".lock";

/** Tries to come into a folder that the run before is just removing. */
const tries = 20;

/** The claim of a run to its folder. No other run, of this process or another, writes or deletes anything there while it stands. */
export class RunClaim {
  readonly path: string;
  /** Whether this run made the folder. */
  readonly #isNew: boolean;
  readonly #lock: FileLock;

  private constructor(path: string, isNew: boolean, lock: FileLock) {
    this.path = path;
    this.#isNew = isNew;
    this.#lock = lock;
  }

  /**
   * Makes the folder where it is absent, and locks it. Rejects at once with a `LockedError` where another run is at work there.
   *
   * @param mustExist whether a folder that is not there is an error: there is nothing to go on from
   */
  static async take(path: string, mustExist: boolean): Promise<RunClaim> {
    if (mustExist && !(await exists(path)))
      throw new CheckpointError(
        `[${path}] expected the folder of a run to continue, got nothing there; check the path`,
      );
    for (let n = 1; ; n += 1) {
      const isNew = await makeFolder(path);
      try {
        return new RunClaim(path, isNew, await FileLock.take(join(path, lockName), `outputDir ${path}`));
      } catch (error) {
        if (!isGone(error) || n === tries) throw error;
      }
    }
  }

  /** Rejects with a `LockedError` where the lock has been lost, as to another host after a long halt of this one. */
  async confirm(): Promise<void> {
    if (await this.#lock.isHeld()) return;
    throw new LockedError(
      `[outputDir ${this.path}] expected this run's lock to stand, got another or none; nothing more is written here, so that no other run is disturbed`,
    );
  }

  /** Lets others in. */
  async release(): Promise<void> {
    await this.#lock.release();
  }

  /** Lets others in after a run that came to nothing: the folder goes, if this run made it. */
  async abandon(): Promise<void> {
    if (this.#isNew)
      for (const name of await list(this.path)) if (name !== lockName) await remove(join(this.path, name));
    await this.release();
    // One that came in meanwhile keeps it.
    if (this.#isNew) await rmdir(this.path).catch(() => {});
  }
}

/** The folder went while it was being locked. */
function isGone(error: unknown): boolean {
  return FileSystemError.isInstance(error) && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}

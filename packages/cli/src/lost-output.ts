// A reader that goes away, a full disk under the output, a closed terminal: none of them ends a command.
import type { FileSystemError } from "@tunesmith/core";

/** A stream that tells when it cannot be written, such as `process.stdout`. */
export interface FailingStream {
  on(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown;
  off(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown;
}

/** Lets a command go on when its output takes no more, and remembers why it does not. */
export class LostOutput {
  /** What the last refused write failed with; null while everything has been taken. */
  error: NodeJS.ErrnoException | null = null;

  /** Without a listener the first refused write would end the process. */
  constructor(stream: FailingStream) {
    stream.on("error", (error) => {
      this.error = error;
    });
  }

  /** The error of a command whose output is all that it makes. A reader that has seen enough (head, less) is no error. */
  async failure(): Promise<FileSystemError | null> {
    if (this.error === null || this.error.code === "EPIPE") return null;
    const { FileSystemError } = await import("@tunesmith/core");
    return new FileSystemError(`[standard output] expected to be written, got ${this.error.message}; free some space`, {
      cause: this.error,
    });
  }
}

/** Calls `tell` once, when a stream refuses a write; streams that tell nothing are left alone. Gives what ends the watch. */
export function watchOutput(stream: object, tell: (error: NodeJS.ErrnoException) => void): () => void {
  if (!("on" in stream && "off" in stream)) return () => {};
  const failing = stream as FailingStream;
  const listener = (error: NodeJS.ErrnoException) => {
    failing.off("error", listener);
    tell(error);
  };
  failing.on("error", listener);
  return () => failing.off("error", listener);
}

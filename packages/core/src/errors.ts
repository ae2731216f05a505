// Every error of the SDK, with its stable code.
import { terminalText } from "./terminal.ts";

/** Stable codes of {@link TunesmithError}. Texts may change; a code never does. */
export type ErrorCode =
  | "FILE_MISSING"
  | "FILE_INVALID"
  | "MODEL_UNSUPPORTED"
  | "CONFIG_INVALID"
  | "OPTION_INVALID"
  | "ARGUMENT_INVALID"
  | "DATA_INVALID"
  | "TOKENIZER_INVALID"
  | "TEMPLATE_INVALID"
  | "NON_FINITE"
  | "HEALTH_STOPPED"
  | "OUT_OF_MEMORY"
  | "DEVICE_UNAVAILABLE"
  | "IO"
  | "LOCKED"
  | "CHECKPOINT_INVALID"
  | "DOWNLOAD_FAILED"
  | "ENDPOINT_FAILED"
  | "ABORTED"
  | "DISPOSED"
  | "CALLBACK_FAILED"
  | "BINARY_MISSING"
  | "INTERNAL";

const marker = Symbol.for("tunesmith.error");

/** An error as a JSON value: what `JSON.stringify` makes of it, and the event of type `error` on the command line. */
export interface SerializedError {
  name: string;
  code: ErrorCode;
  message: string;
  /** As {@link TunesmithError.hint}; absent where there is none. */
  hint?: string;
}

/**
 * Base of every error this SDK throws. The message reads `[place] expected …, got …; what to do`, and is safe to show on a terminal
 * ({@link terminalText}).
 *
 * Use {@link TunesmithError.isInstance} rather than `instanceof`: it also recognises an error made by a second installed
 * copy of the package. Where an error goes to another thread, `postMessage` and `structuredClone` keep only its message, stack and
 * cause, as of every error: {@link TunesmithError.from} gives it its class and code back.
 */
export class TunesmithError extends Error {
  readonly [marker] = true;
  override readonly name: string = "TunesmithError";
  /** Stable code to branch on. */
  readonly code: ErrorCode;
  /** What the user can do about it, when the message does not already say so. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(terminalText(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint === undefined ? undefined : terminalText(options.hint);
    // As Node's own errors have it; of all that names the class and the code this alone survives a structured clone.
    if (this.stack !== undefined) this.stack = this.stack.replace(/^\w*/u, `${classNames[code]} [${code}]`);
  }

  /** Name, code, message and hint: for `JSON.stringify`, and for {@link TunesmithError.from} elsewhere. */
  toJSON(): SerializedError {
    const { name, code, message, hint } = this;
    return { name, code, message, ...(hint === undefined ? {} : { hint }) };
  }

  /**
   * The error again, with its class and code, from what has crossed to another thread or process: the structured clone of one
   * (`postMessage`), or its JSON value. Of anything else an {@link InternalError} with it as the cause.
   */
  static from(crossed: unknown): TunesmithError {
    if (TunesmithError.isInstance(crossed)) return crossed;
    const { code, message, hint, cause, stack } = (crossed ?? {}) as Partial<Record<string, unknown>>;
    const written = typeof stack === "string" ? /^\w+ \[([A-Z_]+)\]: /u.exec(stack)?.[1] : undefined;
    const known = typeof code === "string" ? code : written;
    if (known === undefined || typeof message !== "string" || !Object.hasOwn(classNames, known))
      return new InternalError(typeof message === "string" ? message : String(crossed), { cause: crossed });
    const error = errorFromCode(known, message, {
      ...(cause === undefined ? {} : { cause }),
      ...(typeof hint === "string" ? { hint } : {}),
    });
    if (typeof stack === "string") error.stack = stack;
    return error;
  }

  static isInstance(error: unknown): error is TunesmithError {
    return typeof error === "object" && error !== null && marker in error;
  }
}

/** Which class an error of a code has. */
const classNames: Readonly<Record<ErrorCode, string>> = {
  FILE_MISSING: "ModelFileError",
  FILE_INVALID: "ModelFileError",
  MODEL_UNSUPPORTED: "UnsupportedModelError",
  CONFIG_INVALID: "ConfigError",
  OPTION_INVALID: "OptionError",
  ARGUMENT_INVALID: "ArgumentError",
  DATA_INVALID: "DataError",
  TOKENIZER_INVALID: "TokenizerError",
  TEMPLATE_INVALID: "TemplateError",
  NON_FINITE: "NonFiniteError",
  HEALTH_STOPPED: "HealthError",
  OUT_OF_MEMORY: "OutOfMemoryError",
  DEVICE_UNAVAILABLE: "DeviceUnavailableError",
  IO: "FileSystemError",
  LOCKED: "LockedError",
  CHECKPOINT_INVALID: "CheckpointError",
  DOWNLOAD_FAILED: "DownloadError",
  ENDPOINT_FAILED: "EndpointError",
  ABORTED: "AbortError",
  DISPOSED: "DisposedError",
  CALLBACK_FAILED: "CallbackError",
  BINARY_MISSING: "BinaryMissingError",
  INTERNAL: "InternalError",
};

type Rest = ConstructorParameters<typeof TunesmithError>[2];

/** A model, adapter or tokenizer file is missing or not what its format promises. */
export class ModelFileError extends TunesmithError {
  override readonly name = "ModelFileError";
  constructor(code: "FILE_MISSING" | "FILE_INVALID", message: string, options?: Rest) {
    super(code, message, options);
  }
}

/** A model family or feature that this version does not implement. */
export class UnsupportedModelError extends TunesmithError {
  override readonly name = "UnsupportedModelError";
  constructor(message: string, options?: Rest) {
    super("MODEL_UNSUPPORTED", message, options);
  }
}

/** A model or adapter configuration that contradicts itself. */
export class ConfigError extends TunesmithError {
  override readonly name = "ConfigError";
  constructor(message: string, options?: Rest) {
    super("CONFIG_INVALID", message, options);
  }
}

/** An option that does not exist or a value outside its range. */
export class OptionError extends TunesmithError {
  override readonly name = "OptionError";
  constructor(message: string, options?: Rest) {
    super("OPTION_INVALID", message, options);
  }
}

/** An argument of a function that breaks its contract. */
export class ArgumentError extends TunesmithError {
  override readonly name = "ArgumentError";
  constructor(message: string, options?: Rest) {
    super("ARGUMENT_INVALID", message, options);
  }
}

/** Rows that cannot be trained on. The message names file and line. */
export class DataError extends TunesmithError {
  override readonly name = "DataError";
  constructor(message: string, options?: Rest) {
    super("DATA_INVALID", message, options);
  }
}

/** A tokenizer that cannot be read or used. */
export class TokenizerError extends TunesmithError {
  override readonly name = "TokenizerError";
  constructor(message: string, options?: Rest) {
    super("TOKENIZER_INVALID", message, options);
  }
}

/** A chat template that cannot be compiled, or that refuses a conversation. */
export class TemplateError extends TunesmithError {
  override readonly name = "TemplateError";
  constructor(message: string, options?: Rest) {
    super("TEMPLATE_INVALID", message, options);
  }
}

/** A weight, loss or gradient is NaN or infinite. */
export class NonFiniteError extends TunesmithError {
  override readonly name = "NonFiniteError";
  constructor(message: string, options?: Rest) {
    super("NON_FINITE", message, options);
  }
}

/** A rule of a run's health found something, and the run was to stop then (`onHealth: "stop"`). The message names the rule and its remedy. */
export class HealthError extends TunesmithError {
  override readonly name = "HealthError";
  constructor(message: string, options?: Rest) {
    super("HEALTH_STOPPED", message, options);
  }
}

/** Memory could not be had. The message says what was asked for and what is in use. */
export class OutOfMemoryError extends TunesmithError {
  override readonly name = "OutOfMemoryError";
  constructor(message: string, options?: Rest) {
    super("OUT_OF_MEMORY", message, options);
  }
}

/** The device that was asked for cannot be used here. The message names the missing piece. */
export class DeviceUnavailableError extends TunesmithError {
  override readonly name = "DeviceUnavailableError";
  constructor(message: string, options?: Rest) {
    super("DEVICE_UNAVAILABLE", message, options);
  }
}

/** The operating system refused a file operation. */
export class FileSystemError extends TunesmithError {
  override readonly name = "FileSystemError";
  constructor(message: string, options?: Rest) {
    super("IO", message, options);
  }
}

/** Another process, or another run of this one, is at work there. The message names its process id and host. */
export class LockedError extends TunesmithError {
  override readonly name = "LockedError";
  constructor(message: string, options?: Rest) {
    super("LOCKED", message, options);
  }
}

/** A checkpoint does not match its manifest or this run. */
export class CheckpointError extends TunesmithError {
  override readonly name = "CheckpointError";
  constructor(message: string, options?: Rest) {
    super("CHECKPOINT_INVALID", message, options);
  }
}

/** A download failed or what arrived is not what was asked for. */
export class DownloadError extends TunesmithError {
  override readonly name = "DownloadError";
  constructor(message: string, options?: Rest) {
    super("DOWNLOAD_FAILED", message, options);
  }
}

/** A model at an endpoint did not answer, or refused to. The message names the address and never the key. */
export class EndpointError extends TunesmithError {
  override readonly name = "EndpointError";
  constructor(message: string, options?: Rest) {
    super("ENDPOINT_FAILED", message, options);
  }
}

/** The caller asked to stop. `name` is the platform's `AbortError`. */
export class AbortError extends TunesmithError {
  override readonly name = "AbortError";
  constructor(message: string, options?: Rest) {
    super("ABORTED", message, options);
  }
}

/** Something was used after `dispose()`. */
export class DisposedError extends TunesmithError {
  override readonly name = "DisposedError";
  constructor(message: string, options?: Rest) {
    super("DISPOSED", message, options);
  }
}

/** A function given by the caller threw, and `cause` holds what it threw; or it gave back what cannot be used. */
export class CallbackError extends TunesmithError {
  override readonly name = "CallbackError";
  constructor(message: string, options?: Rest) {
    super("CALLBACK_FAILED", message, options);
  }
}

/** The native binary for this platform is not installed or does not load. */
export class BinaryMissingError extends TunesmithError {
  override readonly name = "BinaryMissingError";
  constructor(message: string, options?: Rest) {
    super("BINARY_MISSING", message, options);
  }
}

/** A defect of Tunesmith. */
export class InternalError extends TunesmithError {
  override readonly name = "InternalError";
  constructor(message: string, options?: Rest) {
    super("INTERNAL", message, options);
  }
}

const classOf: Partial<Record<ErrorCode, new (message: string, options?: Rest) => TunesmithError>> = {
  MODEL_UNSUPPORTED: UnsupportedModelError,
  CONFIG_INVALID: ConfigError,
  OPTION_INVALID: OptionError,
  ARGUMENT_INVALID: ArgumentError,
  DATA_INVALID: DataError,
  TOKENIZER_INVALID: TokenizerError,
  TEMPLATE_INVALID: TemplateError,
  NON_FINITE: NonFiniteError,
  HEALTH_STOPPED: HealthError,
  OUT_OF_MEMORY: OutOfMemoryError,
  DEVICE_UNAVAILABLE: DeviceUnavailableError,
  IO: FileSystemError,
  LOCKED: LockedError,
  CHECKPOINT_INVALID: CheckpointError,
  DOWNLOAD_FAILED: DownloadError,
  ENDPOINT_FAILED: EndpointError,
  ABORTED: AbortError,
  DISPOSED: DisposedError,
  CALLBACK_FAILED: CallbackError,
  BINARY_MISSING: BinaryMissingError,
};

/** The typed error for a code that crossed from native code as plain data. Unknown codes become {@link InternalError}. */
export function errorFromCode(code: string, message: string, options?: Rest): TunesmithError {
  if (code === "FILE_MISSING" || code === "FILE_INVALID") return new ModelFileError(code, message, options);
  const known = classOf[code as ErrorCode];
  return known === undefined ? new InternalError(message, options) : new known(message, options);
}

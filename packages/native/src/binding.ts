// Loads the native binary and turns its errors into typed ones.
import { createRequire } from "node:module";
import { BinaryMissingError, errorFromCode } from "@tunesmith/core";
import type * as Native from "../binding/index.d.cts";
import { host, whyMissing } from "./binary-missing.ts";

export type { Native };

/** By the name of the package, which holds wherever a bundle has put this code. */
const loader = "@tunesmith/native/binding";

let loaded: typeof Native | undefined;

/** The native binary, loaded at first use. Throws `BinaryMissingError` where there is none for this platform. */
export function binding(): typeof Native {
  loaded ??= load();
  return loaded;
}

function load(): typeof Native {
  try {
    return createRequire(import.meta.url)(loader) as typeof Native;
  } catch (cause) {
    throw new BinaryMissingError(whyMissing(host(import.meta.url, loader, cause)), { cause });
  }
}

/** Runs a synchronous call of the binary; its errors become typed ones with the original as `cause`. */
export function native<T>(call: (library: typeof Native) => T): T {
  const library = binding();
  try {
    return call(library);
  } catch (error) {
    throw typed(error);
  }
}

/** As {@link native}, for a call that gives a promise. */
export async function nativeAsync<T>(call: (library: typeof Native) => Promise<T>): Promise<T> {
  const library = binding();
  try {
    return await call(library);
  } catch (error) {
    throw typed(error);
  }
}

function typed(error: unknown): Error {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return errorFromCode(String(code), String(message), { cause: error });
}

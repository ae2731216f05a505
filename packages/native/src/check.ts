// Checks of arguments that come from JavaScript, where types are only promises.
import { ArgumentError, expandHome, writeExact } from "@tunesmith/core";

/** Throws the error of an argument that breaks its contract. */
export function refuse(place: string, expected: string, got: unknown): never {
  throw new ArgumentError(`[${place}] expected ${expected}, got ${shown(got)}; correct this argument`);
}

/** An integer in a range, both ends included. */
export function integer(place: string, value: unknown, least: number, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  return refuse(place, `an integer from ${least} to ${most}`, value);
}

/** A seed: an integer that JavaScript holds exactly. */
export function seed(place: string, value: unknown): number {
  return integer(place, value, 0, Number.MAX_SAFE_INTEGER);
}

/** A finite number of at least `least`. */
export function number(place: string, value: unknown, least = Number.NEGATIVE_INFINITY): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return value;
  return refuse(
    place,
    least === Number.NEGATIVE_INFINITY ? "a finite number" : `a finite number of at least ${least}`,
    value,
  );
}

/** A path, `~` expanded: a string that is not empty, without a NUL, which no path can hold. */
export function path(place: string, value: unknown): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return expandHome(value);
  return refuse(place, "a path", value);
}

/** A string. */
export function string(place: string, value: unknown): string {
  return typeof value === "string" ? value : refuse(place, "a string", value);
}

/** True or false. */
export function boolean(place: string, value: unknown): boolean {
  return typeof value === "boolean" ? value : refuse(place, "true or false", value);
}

/** An object that is neither null nor an array. */
export function object<T extends object>(place: string, value: T): T {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value
    : refuse(place, "an object", value);
}

/** An array. */
export function array<T>(place: string, value: readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : refuse(place, "an array", value);
}

/** Plain data as JSON text: one string crosses the boundary in place of a tree of objects. */
export function json(place: string, value: object): string {
  object(place, value);
  try {
    return writeExact(value);
  } catch (cause) {
    throw new ArgumentError(
      `[${place}] expected plain data, got what JSON cannot hold, ${(cause as Error).message}; leave it out`,
      { cause },
    );
  }
}

interface TypedArrays {
  Int32Array: Int32Array;
  Float32Array: Float32Array;
  Float64Array: Float64Array;
}

/** A typed array of one kind, from any realm. A detached one has length 0 and is for the engine to refuse. */
export function typedArray<K extends keyof TypedArrays>(place: string, value: unknown, kind: K): TypedArrays[K] {
  if (Object.prototype.toString.call(value) === `[object ${kind}]` && ArrayBuffer.isView(value))
    return value as TypedArrays[K];
  return refuse(place, `a ${kind}`, value);
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value !== "object" || value === null) return String(value);
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

// Writes JSON with the digits and the order of keys that were read.
import { ExactNumber, type JsonObject, keyOrder } from "./exact-number.ts";
import { maxJsonDepth } from "./parse.ts";

/** What is written may hold a value that was read a few levels down. */
const deepest = maxJsonDepth + 10;

/**
 * JSON text of plain data, as `JSON.stringify` gives it but for three things: {@link ExactNumber}s and BigInts are written digit
 * for digit, keys in the order in which they were read, and NaN or an infinity throws instead of becoming null. Throws
 * `TypeError` that names what JSON cannot hold: these, a function, a cycle.
 */
export function writeExact(value: unknown): string {
  const text = write(value, 0);
  if (text === undefined) throw new TypeError(`a value of type ${typeof value}`);
  return text;
}

function write(given: unknown, depth: number): string | undefined {
  if (given instanceof ExactNumber) return given.text;
  const value = hasToJson(given) ? given.toJSON() : given;
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`the number ${value}`);
  // Functions, symbols and undefined have no text, and JSON.stringify gives none.
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (depth === deepest) throw new TypeError(`more than ${deepest} levels of arrays and objects`);
  if (Array.isArray(value)) return `[${value.map((item) => write(item, depth + 1) ?? "null").join(",")}]`;
  return writeObject(value as JsonObject, depth + 1);
}

function writeObject(object: JsonObject, depth: number): string {
  const known = object[keyOrder]?.filter((key) => Object.hasOwn(object, key)) ?? [];
  const members: string[] = [];
  for (const key of new Set([...known, ...Object.keys(object)])) {
    const text = write(object[key], depth);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

function hasToJson(value: unknown): value is { toJSON(): unknown } {
  return typeof value === "object" && value !== null && typeof (value as { toJSON?: unknown }).toJSON === "function";
}

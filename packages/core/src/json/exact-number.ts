// A JSON number that JavaScript would write otherwise than it was read, and an object whose keys JavaScript would reorder.

/**
 * A JSON number that JavaScript would write otherwise than the text it was read from: an integer beyond 2^53, `10.0`, `1e5`. It
 * counts as a number wherever JavaScript converts it (`Number(n)`, `n > 1`), and goes to the chat template digit for digit.
 */
export class ExactNumber {
  /** The number as JSON text. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  valueOf(): number {
    return Number(this.text);
  }

  toString(): string {
    return this.text;
  }

  /** The nearest number, for writers that know JavaScript's numbers only. */
  toJSON(): number {
    return Number(this.text);
  }
}

/**
 * Holds the keys of an object in the order of its text, where JavaScript has another: it moves keys such as "10" to the front.
 * An enumerable property, so that a copy by `{ ...object }` keeps it.
 */
export const keyOrder: unique symbol = Symbol.for("tunesmith.keyOrder");

/** A JSON object, as long as it is not known what it holds. */
export interface JsonObject {
  [key: string]: unknown;
  [keyOrder]?: readonly string[];
}

/** The value as an object with keys: no array, no number of any kind, not null. */
export function asObject(value: unknown): JsonObject | null {
  const keyed = typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
  return keyed ? (value as JsonObject) : null;
}

/** The value as the nearest JavaScript number, whichever form a number has; null for what is no number. */
export function asNumber(value: unknown): number | null {
  const numeric = typeof value === "number" || typeof value === "bigint" || value instanceof ExactNumber;
  return numeric ? Number(value) : null;
}

// Reads JSON without losing digits, decimal points or the order of keys.
import { terminalText } from "../terminal.ts";
import { ExactNumber, type JsonObject, keyOrder } from "./exact-number.ts";

/** Levels of arrays and objects that a text may have, one inside the other. Rows have about ten. */
export const maxJsonDepth = 100;

/**
 * The value of a JSON text, as `JSON.parse` gives it but for two things: a number that JavaScript would write otherwise is an
 * {@link ExactNumber}, and an object whose keys JavaScript would reorder knows their order ({@link keyOrder}). Of a key that
 * stands twice the last value counts, as in Python. Throws `SyntaxError` for what is not JSON or is nested too deep.
 */
export function parseExact(text: string): unknown {
  const value = parsed(text);
  // Most rows hold neither numbers nor keys that start with a digit: for them nothing else is to be done.
  return isExact(value, 0) ? value : new ValidText(text).value();
}

/** The first key of a JSON text that stands twice in its object; null where none does. Throws `SyntaxError` as {@link parseExact} does. */
export function repeatedKey(text: string): string | null {
  isExact(parsed(text), 0);
  const valid = new ValidText(text);
  valid.value();
  return valid.repeated;
}

/** The error of JSON.parse holds a piece of the text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(terminalText((error as Error).message));
  }
}

function isExact(value: unknown, depth: number): boolean {
  if (typeof value === "number") return false;
  if (typeof value !== "object" || value === null) return true;
  if (depth === maxJsonDepth)
    throw new SyntaxError(`arrays and objects are nested more than ${maxJsonDepth} levels deep`);
  let exact = true;
  if (Array.isArray(value)) {
    for (const item of value) exact = isExact(item, depth + 1) && exact;
    return exact;
  }
  for (const [key, item] of Object.entries(value)) exact = isExact(item, depth + 1) && !startsWithDigit(key) && exact;
  return exact;
}

function startsWithDigit(key: string): boolean {
  return key >= "0" && key < ":";
}

/** Reads a text that is known to be JSON and not too deep, so that nothing has to be checked. */
class ValidText {
  readonly #text: string;
  #at = 0;
  /** The first key that stood twice in its object, of what was read. */
  repeated: string | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  value(): unknown {
    const first = this.#peek();
    if (first === "{") return this.#object();
    if (first === "[") return this.#array();
    if (first === '"') return this.#string();
    const plain = this.#plain();
    if (plain === "null") return null;
    if (plain === "true" || plain === "false") return plain === "true";
    const number = Number(plain);
    return String(number) === plain ? number : new ExactNumber(plain);
  }

  #object(): JsonObject {
    const object: JsonObject = {};
    const order = new Set<string>();
    this.#at += 1;
    while (this.#peek() !== "}") {
      if (this.#peek() === ",") this.#at += 1;
      this.#peek();
      const key = this.#string();
      // Past the colon.
      this.#peek();
      this.#at += 1;
      const value = this.value();
      if (order.has(key)) this.repeated ??= key;
      order.add(key);
      // An assignment to "__proto__" would set the prototype.
      if (key === "__proto__")
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      else object[key] = value;
    }
    this.#at += 1;
    const keys = [...order];
    if (Object.keys(object).some((key, n) => key !== keys[n])) object[keyOrder] = keys;
    return object;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#at += 1;
    while (this.#peek() !== "]") {
      if (this.#peek() === ",") this.#at += 1;
      array.push(this.value());
    }
    this.#at += 1;
    return array;
  }

  #string(): string {
    const start = this.#at;
    let end = this.#text.indexOf('"', start + 1);
    while (this.#isEscaped(end)) end = this.#text.indexOf('"', end + 1);
    this.#at = end + 1;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  /** Whether an odd number of backslashes stands before a place. */
  #isEscaped(place: number): boolean {
    let before = place;
    while (this.#text[before - 1] === "\\") before -= 1;
    return (place - before) % 2 === 1;
  }

  /** A number, true, false or null: up to the next sign of JSON's own. */
  #plain(): string {
    const end = /[\s,\]}]|$/g;
    end.lastIndex = this.#at;
    const start = this.#at;
    this.#at = end.exec(this.#text)?.index ?? this.#text.length;
    return this.#text.slice(start, this.#at);
  }

  /** The next character that is not white space; the place is there. */
  #peek(): string | undefined {
    while (" \n\r\t".includes(this.#text[this.#at] ?? "-")) this.#at += 1;
    return this.#text[this.#at];
  }
}

// Groups of rows by a text that is equal for those that stay together.

/** Maps that the texts are spread over: one of a million texts would hold the event loop whenever it grows. */
const parts = 256;

/** Groups by their texts, numbered from 0 in the order in which they came. */
export class Groups {
  readonly #numbers = Array.from({ length: parts }, () => new Map<string, number>());
  readonly #sizes: number[] = [];

  /** How many. */
  get count(): number {
    return this.#sizes.length;
  }

  /** Adds a row of a group. */
  add(text: string): void {
    const numbers = this.#partOf(text);
    const number = numbers.get(text);
    if (number !== undefined) {
      this.#sizes[number] = this.sizeOf(number) + 1;
      return;
    }
    numbers.set(text, this.count);
    this.#sizes.push(1);
  }

  /** The number of a group; -1 for one that is not there. */
  find(text: string): number {
    return this.#partOf(text).get(text) ?? -1;
  }

  /** Rows of a group. */
  sizeOf(number: number): number {
    return this.#sizes[number] as number;
  }

  #partOf(text: string): Map<string, number> {
    let hash = text.length;
    // Texts of a column differ at their ends, if anywhere.
    for (let at = Math.max(0, text.length - 8); at < text.length; at += 1)
      hash = Math.imul(hash, 31) + text.charCodeAt(at);
    return this.#numbers[(hash >>> 0) % parts] as Map<string, number>;
  }
}

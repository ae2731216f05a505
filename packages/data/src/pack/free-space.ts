// Rows that still have room, found by how much.

/** End of a queue. */
const none = -1;

/**
 * Rows by the tokens that still fit in them: finds the fullest that has room, the oldest first among equally full ones. A set of bits
 * over the free space, and for each a queue that is linked through the rows.
 */
export class FreeSpace {
  readonly #bits: Uint32Array;
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  readonly #next: number[] = [];

  /** @param most tokens of an empty row */
  constructor(most: number) {
    this.#bits = new Uint32Array((most >>> 5) + 1);
    this.#first = new Int32Array(most + 1).fill(none);
    this.#last = new Int32Array(most + 1).fill(none);
  }

  /** Puts a row back with its free tokens; a full one is never found again. */
  add(row: number, free: number): void {
    if (free === 0) return;
    const last = this.#last[free] as number;
    if (last === none) this.#first[free] = row;
    else this.#next[last] = row;
    this.#last[free] = row;
    this.#next[row] = none;
    this.#bits[free >>> 5] = (this.#bits[free >>> 5] as number) | (1 << (free & 31));
  }

  /** Takes out the row with the least free tokens that `length` fits into; null without any. */
  take(length: number): { row: number; free: number } | null {
    const free = this.#leastFrom(length);
    if (free === null) return null;
    const row = this.#first[free] as number;
    const next = this.#next[row] as number;
    this.#first[free] = next;
    if (next === none) {
      this.#last[free] = none;
      this.#bits[free >>> 5] = (this.#bits[free >>> 5] as number) & ~(1 << (free & 31));
    }
    return { row, free };
  }

  #leastFrom(length: number): number | null {
    let mask = -1 << (length & 31);
    for (let word = length >>> 5; word < this.#bits.length; word += 1) {
      const found = (this.#bits[word] as number) & mask;
      if (found !== 0) return word * 32 + (31 - Math.clz32(found & -found));
      mask = -1;
    }
    return null;
  }
}

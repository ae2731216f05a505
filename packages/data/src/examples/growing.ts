// Typed arrays that grow as numbers are added.
import { slices } from "@tunesmith/core";

type Numbers = Int32Array | Float32Array;

/** Numbers of a page: the first is small, each next twice as large, up to a size that is made in a moment. */
const [smallest, largest] = [1 << 10, 1 << 16];

/**
 * Numbers that are added one after another. They lie in pages, so that adding never copies what is there: of a large data set that would
 * hold the event loop for long.
 */
export class Growing<T extends Numbers> {
  readonly #empty: T;
  /** The pages before the last, full. */
  #full: T[] = [];
  #last: T;
  /** Numbers in the last page. */
  #used = 0;
  #before = 0;

  /** @param empty an empty array of the type */
  constructor(empty: T) {
    this.#empty = empty;
    this.#last = empty;
  }

  /** How many there are. */
  get length(): number {
    return this.#before + this.#used;
  }

  /** Adds one number. */
  push(value: number): void {
    if (this.#used === this.#last.length) this.#turnPage();
    this.#last[this.#used] = value;
    this.#used += 1;
  }

  /** Adds all numbers of an array. */
  append(values: Numbers): void {
    for (let from = 0; from < values.length; ) {
      if (this.#used === this.#last.length) this.#turnPage();
      const part = values.subarray(from, from + this.#last.length - this.#used);
      this.#last.set(part, this.#used);
      this.#used += part.length;
      from += part.length;
    }
  }

  /** Takes all numbers out, as pages. */
  take(): T[] {
    const pages = [...this.#full, this.#last.subarray(0, this.#used) as T];
    this.#full = [];
    this.#last = this.#empty;
    this.#used = 0;
    this.#before = 0;
    return pages.filter(({ length }) => length > 0);
  }

  /** Takes all numbers out, as one array. The event loop turns in between, and each page is given up once it is copied. */
  async finish(): Promise<T> {
    const pages = this.take().reverse();
    if (pages.length <= 1) return pages[0] ?? this.#empty;
    const all = this.#made(pages.reduce((sum, { length }) => sum + length, 0));
    for (let at = 0, page = pages.pop(); page !== undefined; page = pages.pop()) {
      all.set(page, at);
      at += page.length;
      if (slices.isOver) await slices.turn();
    }
    return all;
  }

  #turnPage(): void {
    if (this.#used > 0) this.#full.push(this.#last);
    this.#before += this.#used;
    this.#used = 0;
    this.#last = this.#made(Math.min(largest, Math.max(smallest, 2 * this.#last.length)));
  }

  #made(length: number): T {
    return new (this.#empty.constructor as new (length: number) => T)(length);
  }
}

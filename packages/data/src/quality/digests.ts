// Remembers which sequences were there already, in few bytes each.

/** Tables that a set is spread over: each is a small part of it, and made again in a moment where it is too full. */
const tables = 256;

/**
 * A set of digests. It keeps 64 bits of each, so that of a million different ones two are taken for the same once in 37 million sets.
 * Open addressing with linear probing, at most half full.
 */
export class DigestSet {
  #size = 0;
  readonly #tables = Array.from({ length: tables }, () => new Table());
  readonly #most: number;

  /** @param most how many are remembered: one that comes after them is new each time */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  /** Adds a digest; true where it was new. */
  add(digest: Buffer): boolean {
    const [high, low] = [digest.readUInt32LE(0), digest.readUInt32LE(4) || 1];
    const table = this.#tables[high % tables] as Table;
    if (this.#size >= this.#most) return !table.has(high, low);
    if (!table.add(high, low)) return false;
    this.#size += 1;
    return true;
  }
}

/** Pairs of numbers. A low half of 0 marks an empty place. */
class Table {
  #size = 0;
  #pairs = new Uint32Array(2 * 16);

  add(high: number, low: number): boolean {
    if (!insert(this.#pairs, high, low)) return false;
    this.#size += 1;
    if (4 * this.#size > this.#pairs.length) this.#grow();
    return true;
  }

  has(high: number, low: number): boolean {
    return this.#pairs[placeOf(this.#pairs, high, low) + 1] !== 0;
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#pairs.length);
    for (let at = 0; at < this.#pairs.length; at += 2) {
      const low = this.#pairs[at + 1] as number;
      if (low !== 0) insert(larger, this.#pairs[at] as number, low);
    }
    this.#pairs = larger;
  }
}

function insert(pairs: Uint32Array, high: number, low: number): boolean {
  const at = placeOf(pairs, high, low);
  if (pairs[at + 1] !== 0) return false;
  pairs[at] = high;
  pairs[at + 1] = low;
  return true;
}

/** Where a digest is, or would be. */
function placeOf(pairs: Uint32Array, high: number, low: number): number {
  let at = 2 * (low & (pairs.length / 2 - 1));
  while (pairs[at + 1] !== 0 && !(pairs[at] === high && pairs[at + 1] === low)) at = (at + 2) % pairs.length;
  return at;
}

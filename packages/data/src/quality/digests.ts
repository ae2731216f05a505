// Remembers which sequences were there already, in few bytes each.

/**
 * A set of digests. It keeps 64 bits of each, so that of a million different ones two are taken for the same once in 37 million sets.
 * Open addressing with linear probing, at most half full.
 */
export class DigestSet {
  #size = 0;
  #table = new Uint32Array(2 * 1024);
  readonly #most: number;

  /** @param most how many are remembered: one that comes after them is new each time */
  constructor(most = Number.POSITIVE_INFINITY) {
    this.#most = most;
  }

  /** Adds a digest; true where it was new. */
  add(digest: Buffer): boolean {
    const [high, low] = [digest.readUInt32LE(0), digest.readUInt32LE(4) || 1];
    if (this.#size >= this.#most) return !has(this.#table, high, low);
    if (!insert(this.#table, high, low)) return false;
    this.#size += 1;
    if (4 * this.#size > this.#table.length) this.#grow();
    return true;
  }

  #grow(): void {
    const larger = new Uint32Array(2 * this.#table.length);
    for (let at = 0; at < this.#table.length; at += 2) {
      const low = this.#table[at + 1] as number;
      if (low !== 0) insert(larger, this.#table[at] as number, low);
    }
    this.#table = larger;
  }
}

function insert(table: Uint32Array, high: number, low: number): boolean {
  const at = placeOf(table, high, low);
  if (table[at + 1] !== 0) return false;
  table[at] = high;
  table[at + 1] = low;
  return true;
}

function has(table: Uint32Array, high: number, low: number): boolean {
  return table[placeOf(table, high, low) + 1] !== 0;
}

/** Where a digest is, or would be. A low half of 0 marks an empty place. */
function placeOf(table: Uint32Array, high: number, low: number): number {
  let at = 2 * (low & (table.length / 2 - 1));
  while (table[at + 1] !== 0 && !(table[at] === high && table[at + 1] === low)) at = (at + 2) % table.length;
  return at;
}

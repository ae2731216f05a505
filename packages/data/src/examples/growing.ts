// Typed arrays that grow as numbers are added.

type Numbers = Int32Array | Float32Array;

/** Numbers that are added one after another. Doubles its room, so that adding costs the same however many there are. */
export class Growing<T extends Numbers> {
  /** How many there are. */
  length = 0;
  #room: T;

  /** @param room an empty array of the type, as large as is expected */
  constructor(room: T) {
    this.#room = room;
  }

  /** Adds one number. */
  push(value: number): void {
    this.#reserve(1);
    this.#room[this.length] = value;
    this.length += 1;
  }

  /** Adds all numbers of an array. */
  append(values: ArrayLike<number>): void {
    this.#reserve(values.length);
    this.#room.set(values, this.length);
    this.length += values.length;
  }

  /** What has been added. A view: what is added later may lie elsewhere. */
  get values(): T {
    return this.#room.subarray(0, this.length) as T;
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#room.length) return;
    const larger = new (this.#room.constructor as new (length: number) => T)(
      Math.max(2 * this.#room.length, this.length + more, 1024),
    );
    larger.set(this.values);
    this.#room = larger;
  }
}

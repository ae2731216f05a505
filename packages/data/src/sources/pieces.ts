// Cuts a file into the texts of its rows, byte by byte: lines of JSONL, or elements of a JSON array.

/** The text of one row, as bytes. */
export interface Piece {
  /** Line in the file; in a JSON array the position of the element. Both from 1. */
  line: number;
  /** Empty where `size` is beyond the limit. */
  bytes: Buffer;
  /** Bytes that it has in the file. */
  size: number;
  /** What ended it: a line break, a comma or the bracket of an array, the end of the file; `rest` is what follows an array. */
  end: "\n" | "," | "]" | "file" | "rest";
}

type Chunks = AsyncIterable<Buffer>;

const newline = 0x0a;

/** Lines without their line feed. Of a line of more than `limit` bytes only the size is kept. */
export async function* lines(chunks: Chunks, limit: number): AsyncGenerator<Piece> {
  const collector = new Collector(limit);
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      collector.add(chunk.subarray(start, end));
      yield collector.take("\n");
      start = end + 1;
    }
    collector.add(chunk.subarray(start));
  }
  if (collector.size > 0) yield collector.take("file");
}

/** Elements of the JSON array that the file is. Of an element of more than `limit` bytes only the size is kept. */
export async function* elements(chunks: Chunks, limit: number): AsyncGenerator<Piece> {
  const collector = new Collector(limit);
  const structure = new Structure();
  for await (const chunk of chunks) {
    let start = 0;
    for (let place = 0; place < chunk.length; place += 1) {
      const found = structure.next(chunk[place] as number);
      if (found === null) continue;
      collector.add(chunk.subarray(start, place));
      start = place + 1;
      // What stands before the array is white space.
      if (found === "[") collector.clear();
      else yield collector.take(found);
    }
    collector.add(chunk.subarray(start));
  }
  yield collector.take(structure.closed ? "rest" : "file");
}

const [quote, backslash, comma, openBracket, openBrace, closeBracket, closeBrace] = Buffer.from(
  '"\\,[{]}',
) as unknown as [number, number, number, number, number, number, number];

/** Where in a JSON array a byte stands. What is inside an element need not be JSON: its parser says so. */
class Structure {
  /** Whether the array has ended. */
  closed = false;
  /** Arrays and objects that are open; the array itself is the first. */
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** The sign that a byte is, if it begins the array or ends an element of it. */
  next(byte: number): "[" | "," | "]" | null {
    if (this.closed) return null;
    if (this.#inString) {
      this.#inString = this.#escaped || byte !== quote;
      this.#escaped = !this.#escaped && byte === backslash;
    } else if (byte === quote) {
      this.#inString = true;
    } else if (byte === openBracket || byte === openBrace) {
      this.#depth += 1;
      return this.#depth === 1 ? "[" : null;
    } else if (this.#depth > 1) {
      if (byte === closeBracket || byte === closeBrace) this.#depth -= 1;
    } else if (byte === comma) {
      return ",";
    } else if (byte === closeBracket) {
      this.closed = true;
      return "]";
    }
    return null;
  }
}

/** Puts together what lies in several chunks, and forgets it where it is too much. */
class Collector {
  size = 0;
  readonly #limit: number;
  #parts: Buffer[] = [];
  #line = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(part: Buffer): void {
    this.size += part.length;
    if (this.size > this.#limit) this.#parts = [];
    else this.#parts.push(part);
  }

  clear(): void {
    this.size = 0;
    this.#parts = [];
  }

  /** What was added since the last piece. */
  take(end: Piece["end"]): Piece {
    this.#line += 1;
    const piece = { line: this.#line, bytes: Buffer.concat(this.#parts), size: this.size, end };
    this.clear();
    return piece;
  }
}

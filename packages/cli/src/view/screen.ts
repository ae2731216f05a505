// Lines that stay, and below them one status line.

/** The part of a stream that output needs. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const colour = new RegExp(`(${String.fromCharCode(27)}\\[[\\d;]*m)`, "u");

/** Milliseconds between two status lines where they cannot be redrawn. */
const plainInterval = 10_000;

/** Lines that stay, and below them one status line: redrawn on a terminal, written now and then elsewhere. */
export class Screen {
  readonly #out: Output;
  readonly #now: () => number;
  #status = "";
  #lastPlain = Number.NEGATIVE_INFINITY;

  constructor(out: Output, now: () => number = () => performance.now()) {
    this.#out = out;
    this.#now = now;
  }

  /** Characters of a status line at most: on a terminal it must not wrap. */
  get width(): number {
    return this.#out.isTTY ? (this.#out.columns ?? 80) - 1 : Number.POSITIVE_INFINITY;
  }

  /** A line that stays. */
  print(line: string): void {
    this.#clear();
    this.#out.write(`${line}\n`);
    this.#draw();
  }

  /** The status line as it is now. `last`: write it even if the one before was only just written. */
  status(line: string, { last = false }: { last?: boolean } = {}): void {
    if (this.#out.isTTY) {
      this.#clear();
      this.#status = line;
      this.#draw();
    } else if (last || this.#now() - this.#lastPlain >= plainInterval) {
      this.#lastPlain = this.#now();
      this.#out.write(`${line}\n`);
    }
  }

  /** Takes the status line away. */
  clear(): void {
    this.#clear();
    this.#status = "";
  }

  /** Leaves the status line where it is; what follows goes below it. */
  settle(): void {
    if (this.#status !== "") this.#out.write("\n");
    this.#status = "";
  }

  #clear(): void {
    if (this.#status !== "") this.#out.write("\r\u001b[2K");
  }

  #draw(): void {
    if (this.#status !== "") this.#out.write(clip(this.#status, this.width));
  }
}

/** Cuts a text with colour codes to a number of visible characters, so that it never wraps. */
export function clip(text: string, width: number): string {
  let visible = 0;
  let cut = "";
  // Every second part is a colour code: ESC [ … m.
  for (const [index, part] of text.split(colour).entries()) {
    const shown = index % 2 === 1 ? part : [...part].slice(0, width - visible).join("");
    if (index % 2 === 0) visible += [...shown].length;
    cut += shown;
  }
  return cut;
}

// A file of events as TensorBoard reads them: records of TensorFlow's TFRecord, each a protobuf Event with one number or more.
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileOperation } from "@tunesmith/core";

/** CRC-32C (Castagnoli), of which TFRecord masks every sum. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** The masked checksum of a record's part. */
export function maskedCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (table[(crc ^ byte) & 0xff] as number) ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** Fields of a protobuf message: a number that is counted, a float or double, or bytes. */
const counted = (field: number, value: number) => Buffer.concat([varint(field << 3), varint(value)]);
const sized = (field: number, bytes: Uint8Array) =>
  Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = (field << 3) | 5;
  bytes.writeFloatLE(value, 1);
  return bytes;
}

/** Event: 1 wall_time, 2 step, 3 file_version, 5 summary, 7 session_log (tensorflow/core/util/event.proto). */
function event(step: number, content: Buffer): Buffer {
  const data = Buffer.concat([double(1, Date.now() / 1000), counted(2, step), content]);
  const [length, sums] = [Buffer.alloc(8), [Buffer.alloc(4), Buffer.alloc(4)] as const];
  length.writeBigUInt64LE(BigInt(data.length));
  sums[0].writeUInt32LE(maskedCrc32c(length));
  sums[1].writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([length, sums[0], data, sums[1]]);
}

/** Summary of scalars: 1 value, in it 1 tag, 2 simple_value (tensorflow/core/framework/summary.proto). */
function summary(scalars: Readonly<Record<string, number>>): Buffer {
  const values = Object.entries(scalars).map(([tag, value]) =>
    sized(1, Buffer.concat([sized(1, Buffer.from(tag)), float(2, value)])),
  );
  return sized(5, Buffer.concat(values));
}

/** Metrics by the tags that transformers' trainer gives them: `eval_loss` is `eval/loss`, `loss` is `train/loss`. */
function tagged(metrics: object): Record<string, number> {
  const numbers = Object.entries(metrics).filter(([, value]) => typeof value === "number");
  return Object.fromEntries(
    numbers.map(([name, value]) => [name.startsWith("eval_") ? `eval/${name.slice(5)}` : `train/${name}`, value]),
  );
}

/** A file of events that grows. */
export class EventFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** Bytes written. */
  #size = 0;
  readonly #waiting: Buffer[] = [];

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /**
   * Begins a new file in a folder, which is made where absent.
   *
   * @param step the first that will be written: what earlier files of the folder have from there on is no longer shown
   */
  static async begin(folder: string, step: number): Promise<EventFile> {
    // TensorBoard reads files in the order of their names: that of their times, to the millisecond.
    const time = (Date.now() / 1000).toFixed(3);
    const name = `events.out.tfevents.${time}.${hostname()}.${process.pid}.${randomBytes(3).toString("hex")}`;
    const path = join(folder, name);
    const handle = await fileOperation("open", path, async () => {
      await mkdir(folder, { recursive: true });
      return open(path, "wx");
    });
    const file = new EventFile(path, handle);
    file.#waiting.push(event(0, sized(3, Buffer.from("brain.Event:2"))));
    // SessionLog with status START.
    if (step > 0) file.#waiting.push(event(step, sized(7, counted(1, 1))));
    return file;
  }

  /** Adds the numbers of a line of `metrics.jsonl` to what {@link EventFile.flush} writes. */
  add({ step, ...metrics }: { step: number; [name: string]: unknown }): void {
    this.#waiting.push(event(step, summary(tagged(metrics))));
  }

  /** Writes what was added. Where the system refuses that, nothing of it counts as written, and the next time tries again. */
  async flush(): Promise<void> {
    // More may be added while these are written.
    const events = this.#waiting.length;
    const bytes = Buffer.concat(this.#waiting);
    if (bytes.length === 0) return;
    await fileOperation("append to", this.path, async () => {
      await this.#handle.truncate(this.#size);
      await this.#handle.write(bytes, 0, bytes.length, this.#size);
    });
    this.#size += bytes.length;
    this.#waiting.splice(0, events);
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

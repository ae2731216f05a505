// Long arrays as one safetensors file: ids are written as they come, and all are read by mapping the file into memory.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Arrays by name. */
export type Arrays = Readonly<Record<string, Int32Array | Float32Array>>;

/** Bytes before the first tensor: the length of the header, and the header, filled up with spaces. */
const headerBytes = 4096;
const lengthBytes = 8;
/** Bytes that are written, read and summed at once: a few milliseconds. */
const piece = 1 << 20;
const format = "tunesmith-tokens";
/** Another number leaves all earlier files unread. */
const version = "1";

type Dtype = "I32" | "F32" | "U8";
interface Tensor {
  dtype: Dtype;
  shape: [number];
  data_offsets: [number, number];
}
type Tensors = Record<string, Tensor>;

/** The length of the header, as the format begins. */
function lengthField(): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  bytes.writeBigUInt64LE(BigInt(headerBytes - lengthBytes));
  return bytes;
}

/** Writes a file whose ids come bit by bit. Nothing of them stays in memory. */
export class TokenFileWriter {
  readonly #file: FileHandle;
  readonly #hash = createHash("sha256");
  #bytes = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Begins a file. */
  static async create(path: string): Promise<TokenFileWriter> {
    const file = await open(path, "wx");
    await file.write(Buffer.alloc(headerBytes));
    return new TokenFileWriter(file);
  }

  /** Adds ids. */
  async append(ids: Int32Array): Promise<void> {
    await this.#write(ids);
  }

  /** Writes the other arrays, a JSON value beside them, and the header: only now is it a file that can be read. */
  async finish(arrays: Arrays, companion: unknown): Promise<void> {
    const tensors: Tensors = { ids: { dtype: "I32", shape: [this.#bytes / 4], data_offsets: [0, this.#bytes] } };
    for (const [name, values] of Object.entries(arrays)) tensors[name] = await this.#tensor(values);
    tensors.companion = await this.#tensor(Buffer.from(JSON.stringify(companion)));
    const metadata = { format, version, sha256: this.#hash.update(JSON.stringify(tensors)).digest("hex") };
    const header = JSON.stringify({ __metadata__: metadata, ...tensors });
    const bytes = Buffer.alloc(headerBytes, " ");
    lengthField().copy(bytes);
    bytes.write(header, lengthBytes);
    await this.#file.write(bytes, 0, headerBytes, 0);
  }

  /** Closes the file, finished or not. */
  async close(): Promise<void> {
    await this.#file.close();
  }

  async #tensor(values: Int32Array | Float32Array | Uint8Array): Promise<Tensor> {
    const dtype = values instanceof Int32Array ? "I32" : values instanceof Float32Array ? "F32" : "U8";
    const start = this.#bytes;
    await this.#write(values);
    return { dtype, shape: [values.length], data_offsets: [start, this.#bytes] };
  }

  async #write({ buffer, byteOffset, byteLength }: Int32Array | Float32Array | Uint8Array): Promise<void> {
    for (let from = 0; from < byteLength; from += piece) {
      const bytes = new Uint8Array(buffer, byteOffset + from, Math.min(piece, byteLength - from));
      this.#hash.update(bytes);
      await this.#file.write(bytes, 0, bytes.length, headerBytes + this.#bytes);
      this.#bytes += bytes.length;
    }
  }
}

/** What a file holds. */
export interface TokenFile {
  /** `ids` and the others. */
  arrays: Arrays;
  /** The JSON value. */
  companion: unknown;
}

/**
 * Reads a file; null for one that is not whole. All of its bytes are read once, and compared with the sum in its header.
 *
 * @param map gives the bytes of a file, read as they are looked at
 */
export async function readTokenFile(
  path: string,
  map: (path: string) => Promise<Uint8Array>,
): Promise<TokenFile | null> {
  const bytes = await map(path);
  const header = headerOf(bytes);
  if (header === null || header.sha256 !== (await digestOf(path, header.tensors))) return null;
  const { companion, ...tensors } = header.tensors;
  if (companion === undefined) return null;
  const views = Object.entries(tensors).map(([name, tensor]) => [name, viewOf(bytes, tensor)]);
  const text = new TextDecoder().decode(viewOf(bytes, companion));
  return { arrays: Object.fromEntries(views), companion: JSON.parse(text) };
}

function headerOf(bytes: Uint8Array): { sha256: string; tensors: Tensors } | null {
  if (bytes.length < headerBytes || !lengthField().equals(bytes.subarray(0, lengthBytes))) return null;
  const text = new TextDecoder().decode(bytes.subarray(lengthBytes, headerBytes));
  try {
    const { __metadata__: metadata, ...tensors } = JSON.parse(text);
    const ours = metadata.format === format && metadata.version === version;
    return ours ? { sha256: metadata.sha256, tensors } : null;
  } catch {
    // Not a file of ours, or one that was cut off.
    return null;
  }
}

/** The sum over all arrays, and over what the header says of them. */
async function digestOf(path: string, tensors: Tensors): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { start: headerBytes, highWaterMark: piece }))
    hash.update(chunk as Buffer);
  return hash.update(JSON.stringify(tensors)).digest("hex");
}

function viewOf(bytes: Uint8Array, { dtype, shape: [length], data_offsets: [start] }: Tensor) {
  const offset = bytes.byteOffset + headerBytes + start;
  if (dtype === "I32") return new Int32Array(bytes.buffer, offset, length);
  if (dtype === "F32") return new Float32Array(bytes.buffer, offset, length);
  return new Uint8Array(bytes.buffer, offset, length);
}

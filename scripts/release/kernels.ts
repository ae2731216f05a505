// Which CUDA kernels a built binary holds, read from the file itself: the only proof for a platform that is not this machine's.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/shell.mjs";
import { cudaArchs } from "./targets.ts";

/** How nvcc's fatbins begin; they lie in the binary as they were made (crates/cuda/build.rs). */
const magic = Buffer.from([0x50, 0xed, 0x55, 0xba]);
const headerSize = 16;
/** Kind of an entry that is machine code of one architecture; 1 is PTX. */
const machineCode = 2;
/** Place of the architecture in the header of an entry. */
const archOffset = 28;

/** Of each fatbin in a binary the architectures that it has machine code for, such as 80 and 100. */
export function kernelArchs(binary: Buffer): number[][] {
  const found: number[][] = [];
  for (let at = binary.indexOf(magic); at !== -1; at = binary.indexOf(magic, at + 1)) {
    const end = at + headerSize + sizeAt(binary, at + 8);
    // The same four bytes may stand in code.
    if (at + headerSize > binary.length || binary.readUInt16LE(at + 6) !== headerSize || end > binary.length) continue;
    found.push(entriesOf(binary, at + headerSize, end));
  }
  return found;
}

function entriesOf(binary: Buffer, from: number, end: number): number[] {
  const archs: number[] = [];
  for (let at = from; at + archOffset + 4 <= end; ) {
    if (binary.readUInt16LE(at) === machineCode) archs.push(binary.readUInt32LE(at + archOffset));
    const length = binary.readUInt32LE(at + 4) + sizeAt(binary, at + 8);
    if (length === 0) break;
    at += length;
  }
  return archs;
}

/** A size in eight bytes; too large a one, which no file has, as infinity. */
function sizeAt(binary: Buffer, at: number): number {
  return at + 8 > binary.length ? Number.POSITIVE_INFINITY : Number(binary.readBigUInt64LE(at));
}

/** Files of kernels in the repository: each is a fatbin. */
const kernelFiles = (): number => readdirSync(join(root, "kernels")).filter((name) => name.endsWith(".cu")).length;

/**
 * What a binary lacks of the kernels that a release promises.
 *
 * @param archs as nvcc is told of them, separated by commas
 * @param files fatbins that it must hold
 */
export function kernelFaults(binary: Buffer, archs: string = cudaArchs, files: number = kernelFiles()): string[] {
  const found = kernelArchs(binary);
  if (found.length === 0) return ["expected CUDA kernels, got none; build with TUNESMITH_REQUIRE_CUDA_KERNELS=1"];
  const wanted = archs.split(",").map((arch) => Number.parseInt(arch, 10));
  const lacking = wanted.filter((arch) => found.some((of) => !of.includes(arch)));
  return [
    ...(found.length === files ? [] : [`expected kernels of ${files} files, got those of ${found.length}`]),
    ...lacking.map((arch) => `expected kernels for sm_${arch} in every file, got some without`),
  ];
}

import { expect, test } from "vitest";
import { kernelArchs, kernelFaults } from "./kernels.ts";

const ptx = 1;
const machineCode = 2;

/** An entry of a fatbin: a header of 64 bytes and some code. */
function entry(kind: number, arch: number, code = 24): Buffer {
  const bytes = Buffer.alloc(64 + code, 7);
  bytes.writeUInt16LE(kind, 0);
  bytes.writeUInt32LE(64, 4);
  bytes.writeBigUInt64LE(BigInt(code), 8);
  bytes.writeUInt32LE(arch, 28);
  return bytes;
}

function fatbin(archs: readonly number[]): Buffer {
  const content = Buffer.concat([...archs.map((arch, n) => entry(machineCode, arch, 8 * (n + 1))), entry(ptx, 80)]);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(0xba55ed50, 0);
  header.writeUInt16LE(1, 4);
  header.writeUInt16LE(16, 6);
  header.writeBigUInt64LE(BigInt(content.length), 8);
  return Buffer.concat([header, content]);
}

const all = [80, 90, 100, 120];
const code = Buffer.alloc(100, 0x90);
const faults = (...parts: Buffer[]) => kernelFaults(Buffer.concat(parts), "80,90a,100a,120", 2);

test("the architectures of every fatbin are read, PTX left out", () => {
  const binary = Buffer.concat([code, fatbin([80]), code, fatbin(all), code]);
  expect(kernelArchs(binary)).toEqual([[80], all]);
  expect(faults(code, fatbin(all), code, fatbin(all), code)).toEqual([]);
});

test("a binary without kernels, with those of some files, or for some architectures is no release's", () => {
  const none = ["expected CUDA kernels, got none; build with TUNESMITH_REQUIRE_CUDA_KERNELS=1"];
  expect(faults(code)).toEqual(none);
  expect(faults(Buffer.alloc(0))).toEqual(none);
  // The magic number alone, as an instruction may hold it, and a fatbin that is cut.
  expect(faults(code, Buffer.from([0x50, 0xed, 0x55, 0xba]))).toEqual(none);
  expect(faults(code, fatbin(all).subarray(0, 90))).toEqual(none);
  expect(faults(fatbin(all))).toEqual(["expected kernels of 2 files, got those of 1"]);
  expect(faults(fatbin(all), fatbin([80, 90, 120]))).toEqual([
    "expected kernels for sm_100 in every file, got some without",
  ]);
});

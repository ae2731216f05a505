import { createHash } from "node:crypto";
import { expect, onTestFinished, test, vi } from "vitest";
import { DigestSet } from "./digests.ts";

test("a digest is new once, whatever was added in between", () => {
  const digests = Array.from({ length: 20_000 }, (_, n) => createHash("sha256").update(String(n)).digest());
  const set = new DigestSet();
  expect(digests.every((digest) => set.add(digest))).toBe(true);
  expect(digests.some((digest) => set.add(digest))).toBe(false);
});

test("digests that begin alike, or with zeros, are told apart", () => {
  const set = new DigestSet();
  const digest = (...bytes: number[]) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(32 - bytes.length)]);
  const some = [
    digest(),
    digest(1),
    digest(0, 0, 0, 1),
    digest(0, 0, 0, 0, 7),
    digest(0, 0, 0, 0, 0, 9),
    digest(2, 0, 0, 0, 7),
  ];
  for (const entry of some) expect(set.add(entry)).toBe(true);
  for (const entry of some) expect(set.add(entry)).toBe(false);
});

test("what is remembered has an end: what comes after it is new each time", () => {
  const [first, second] = ["a", "b"].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer];
  const set = new DigestSet(1);
  expect([set.add(first), set.add(second), set.add(second), set.add(first)]).toEqual([true, true, true, false]);
});

test("a large set never makes a large table again: its parts grow on their own", () => {
  const made: number[] = [];
  const own = Uint32Array;
  vi.stubGlobal(
    "Uint32Array",
    class extends own {
      constructor(length: number) {
        super(length);
        made.push(length);
      }
    },
  );
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  const set = new DigestSet();
  for (let n = 0; n < 200_000; n += 1) set.add(createHash("sha256").update(String(n)).digest());
  expect(made.length).toBeGreaterThan(256);
  // 200,000 digests in 256 parts: about 800 each, at most half full.
  expect(Math.max(...made)).toBeLessThanOrEqual(2 * 4096);
});

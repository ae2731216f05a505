import { createHash } from "node:crypto";
import { expect, test } from "vitest";
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

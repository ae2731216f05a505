import { link, mkdir, readdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FileSystemError, LockedError } from "../errors.ts";
import { scratchFolder } from "../testing/scratch.ts";
import { FileLock } from "./lock.ts";
import { thisProcess } from "./process-identity.ts";

async function lockPath(): Promise<string> {
  return join(await scratchFolder(onTestFinished), ".lock");
}

/** The record of a lock of this process, with changes. */
const record = (changes: object) =>
  JSON.stringify({ ...thisProcess(), token: "0123456789ab-1", since: "2026-01-02T03:04:05.000Z", ...changes });

/** No process has it: above what any system gives out. */
const absentPid = 2 ** 30;

test("one user at a time; the second is refused at once by process and host, the next gets it", async () => {
  const path = await lockPath();
  const first = await FileLock.take(path, "the run");
  const refused = FileLock.take(path, "the run");
  await expect(refused).rejects.toThrow(LockedError);
  await expect(refused).rejects.toThrow(
    `[the run] expected nothing else at work here, got process ${process.pid} on ${hostname()}`,
  );
  expect(await first.isHeld()).toBe(true);
  await first.release();
  const second = await FileLock.take(path, "the run");
  expect([await first.isHeld(), await second.isHeld()]).toEqual([false, true]);
  // Given back twice, it is still another's.
  await first.release();
  expect(await second.isHeld()).toBe(true);
  await second.release();
  expect(await readdir(join(path, ".."))).toEqual([]);
});

test("the lock of a process that has ended is taken over at once, by whatever that is seen", async () => {
  const path = await lockPath();
  const ended: [string, object][] = [
    ["no such process", { pid: absentPid }],
    ["before the host was started again", { bootId: "00000000-0000-0000-0000-000000000000" }],
    ["another process has the id now", { began: "1" }],
    ["a copy of this module that is gone", { token: "ba9876543210-7" }],
  ];
  for (const [name, changes] of ended) {
    await writeFile(path, record(changes));
    // Silent for long: only the last one is known by that.
    if (name.includes("copy")) await utimes(path, 1, 1);
    const lock = await FileLock.take(path, "the run");
    expect(await lock.isHeld(), name).toBe(true);
    await lock.release();
  }
});

test("the lock of another host stands while it is touched, and no longer", async () => {
  const path = await lockPath();
  const seconds = Date.now() / 1000;
  await writeFile(path, record({ host: "elsewhere", pid: 77 }));
  await expect(FileLock.take(path, "the run")).rejects.toThrow(/process 77 on elsewhere, at work since 2026-01-02/);
  for (const touched of [seconds - 3600, seconds + 3600]) {
    await writeFile(path, record({ host: "elsewhere", pid: 77 }));
    await utimes(path, touched, touched);
    await (await FileLock.take(path, "the run")).release();
  }
});

test("what is no lock is refused in words, or taken over: never waited for without end", async () => {
  const path = await lockPath();
  for (const garbage of ["", "{", "null", '{"pid":-1}', "x".repeat(1 << 20)]) {
    await writeFile(path, garbage);
    await expect(FileLock.take(path, "the run")).rejects.toThrow(
      /a lock that cannot be read: .*; try again in 10 seconds/,
    );
    for (const touched of [1, Date.now() / 1000 + 3600]) {
      await writeFile(path, garbage);
      await utimes(path, touched, touched);
      await (await FileLock.take(path, "the run")).release();
    }
  }
  await mkdir(path);
  await expect(FileLock.take(path, "the run")).rejects.toThrow(FileSystemError);
  await expect(FileLock.wait(path, "the run")).rejects.toThrow(
    /\.lock\] expected a lock file or nothing, got a folder/,
  );
  const dangling = await lockPath();
  await symlink("nowhere", dangling);
  await expect(FileLock.take(dangling, "the run")).rejects.toThrow(/got a symbolic link/);
  await expect(FileLock.take(join(dangling, "sub", ".lock"), "x")).rejects.toThrow(FileSystemError);
});

test("of many that take over one lock exactly one gets it, also where one ended in the middle of that", async () => {
  for (let round = 0; round < 8; round += 1) {
    const path = await lockPath();
    await writeFile(path, record({ pid: absentPid }));
    // The one before was killed while it took over: its second lock is still there, and so is what was to replace the first.
    if (round % 2 === 1) {
      await writeFile(`${path}.0123456789ab-1`, record({ pid: absentPid, token: "0123456789ab-2" }));
      await link(`${path}.0123456789ab-1`, join(path, "..", ".tmp-new-.lock-00000000"));
    }
    const results = await Promise.allSettled(Array.from({ length: 24 }, () => FileLock.take(path, "the run")));
    const locks = results.filter((result) => result.status === "fulfilled").map(({ value }) => value);
    expect(locks).toHaveLength(1);
    expect(await locks[0]?.isHeld()).toBe(true);
    for (const result of results) if (result.status === "rejected") expect(result.reason).toBeInstanceOf(LockedError);
    expect((await readdir(join(path, ".."))).filter((name) => !name.startsWith(".tmp-new-.lock-0000"))).toEqual([
      ".lock",
    ]);
    await locks[0]?.release();
  }
});

test("while one takes a lock over, no other does", async () => {
  const path = await lockPath();
  await writeFile(path, record({ pid: absentPid }));
  // The second lock is that of the process that has started this one.
  const second = { pid: process.ppid, began: null, token: "0123456789ab-2" };
  await writeFile(`${path}.0123456789ab-1`, record(second));
  await expect(FileLock.take(path, "the run")).rejects.toThrow(LockedError);
  expect(await readFile(path, "utf8")).toBe(record({ pid: absentPid }));
});

test("who waits is told once for whom, gets the lock when it is free, and can be stopped", async () => {
  const path = await lockPath();
  const first = await FileLock.take(path, "the file");
  const told: string[] = [];
  const second = FileLock.wait(path, "the file", {
    onWait: (message) => {
      told.push(message);
      setTimeout(() => void first.release(), 250);
    },
  });
  await (await second).release();
  expect(told).toEqual([expect.stringContaining(`process ${process.pid}`)]);
  const third = await FileLock.take(path, "the file");
  const stopped = FileLock.wait(path, "the file", { signal: AbortSignal.timeout(150) });
  await expect(stopped).rejects.toThrow(/timeout/);
  await third.release();
});

test("a lock that another took away is no longer held, and is not removed", async () => {
  const path = await lockPath();
  const lock = await FileLock.take(path, "the run");
  await writeFile(path, record({ host: "elsewhere" }));
  expect(await lock.isHeld()).toBe(false);
  await lock.release();
  expect(await readFile(path, "utf8")).toContain("elsewhere");
});

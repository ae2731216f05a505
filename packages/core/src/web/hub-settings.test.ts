import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hubSettings, hubSettingsWith } from "./hub-settings.ts";

const nowhere = { HF_TOKEN_PATH: "/nowhere" };

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

test("empty variables count as none, and ~ is the home folder", () => {
  const empty = { HF_ENDPOINT: "", HF_HOME: "", HF_HUB_CACHE: "", HF_TOKEN: " ", ...nowhere };
  expect(hubSettings(empty)).toEqual(hubSettings(nowhere));
  expect(hubSettings({ ...nowhere, HF_HOME: "~/models" }).cacheDir).toBe(join(homedir(), "models", "hub"));
});

test("a token that is no single line is refused and never shown", async () => {
  const home = await mkdtemp(join(tmpdir(), "tunesmith-home-"));
  await writeFile(join(home, "token"), "hf_first\nhf_second\n");
  const given = [
    () => hubSettings({ HF_HOME: home }),
    ...[
      "hf_first\nhf_second",
      "hf_first\r\nhf_second",
      "hf_first hf_second",
      "hf_first\u0000",
      "hf_first\u2028ö",
    ].flatMap((token) => [() => hubSettings({ HF_TOKEN: token }), () => hubSettingsWith({ token }, nowhere)]),
    () => hubSettingsWith({ token: 7 as unknown as string }, nowhere),
  ];
  for (const read of given) expect(read).toThrow(/expected an access token/u);
  for (const read of given) expect(read).not.toThrow(/hf_first|hf_second/u);
  await rm(home, { recursive: true });
});

test.each([
  "https://user:hunter2@mirror",
  "https://hunter2@mirror",
  "user:hunter2@mirror",
  "//user:hunter2@mirror",
  "hunter2",
  "https://",
  "file:///hunter2",
  "https://mirror/?key=hunter2",
  "https://mirror/#hunter2",
  "https://hunter2 mirror",
])("the endpoint %s is refused and what may be a password is not shown", (endpoint) => {
  for (const read of [
    () => hubSettings({ ...nowhere, HF_ENDPOINT: endpoint }),
    () => hubSettingsWith({ endpoint }, nowhere),
  ]) {
    expect(read).toThrow(/expected the address of a hub/u);
    expect(read).not.toThrow(/hunter2/u);
  }
});

test("an endpoint keeps its path", () => {
  expect(hubSettings({ ...nowhere, HF_ENDPOINT: " http://127.0.0.1:80/api/hf// " }).endpoint).toBe(
    "http://127.0.0.1/api/hf",
  );
});

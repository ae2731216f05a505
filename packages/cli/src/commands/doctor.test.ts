import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { cuda, disk, hub, models, node, token } from "./doctor.ts";

test("wants Node 20.19 or newer", () => {
  expect(["20.19.0", "22.1.0", "20.18.3", "18.20.0"].map((version) => node(version).state)).toEqual([
    "ok",
    "ok",
    "bad",
    "bad",
  ]);
});

test("measures the disk of a folder and says when it cannot be made", async () => {
  expect((await disk("folder", tmpdir())).found).toContain("free in");
  const inFile = `${fileURLToPath(import.meta.url)}/sub`;
  expect(await disk("cache", inFile)).toMatchObject({ state: "bad", fix: expect.stringContaining("HF_HOME") });
});

test("knows whether the hub answers", async () => {
  const server = createServer((_, response) => void response.end());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await hub({ endpoint, offline: false })).toMatchObject({ state: "ok" });
  server.close();
  server.closeAllConnections();
  expect(await hub({ endpoint, offline: false })).toMatchObject({ state: "note" });
  expect(await hub({ endpoint, offline: true })).toMatchObject({
    state: "note",
    found: expect.stringContaining("HF_HUB_OFFLINE"),
  });
});

test("never shows the token", () => {
  expect(JSON.stringify(token({ token: "hf_secret" }))).not.toContain("hf_secret");
  expect(token({ token: null }).found).toContain("HF_TOKEN");
});

test("names the CUDA device, or what is missing", () => {
  expect(cuda({ cudaDevice: "NVIDIA H100", cudaMissing: null })).toEqual({
    name: "cuda",
    state: "ok",
    found: "NVIDIA H100",
  });
  expect(cuda({ cudaDevice: null, cudaMissing: "[cuda] expected the NVIDIA driver, got none" })).toMatchObject({
    state: "note",
    found: expect.stringContaining("NVIDIA driver"),
  });
  expect(cuda(null)).toMatchObject({ state: "note" });
});

test("names a token or an endpoint that cannot be one, and shows neither", async () => {
  for (const env of [{ HF_TOKEN: "hf_one\nhf_two" }, { HF_ENDPOINT: "https://me:hf_two@mirror" }]) {
    const found = await models(env);
    expect(found).toMatchObject([{ state: "bad", found: expect.stringContaining(Object.keys(env)[0] ?? "") }]);
    expect(JSON.stringify(found)).not.toMatch(/hf_one|hf_two/u);
  }
});

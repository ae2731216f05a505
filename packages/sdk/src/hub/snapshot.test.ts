import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  breakAfter,
  commit,
  config,
  FakeHub,
  gitDigest,
  type Handler,
  serveRange,
  sha256,
  status,
  weights,
} from "../testing/fake-hub.ts";
import type { DownloadProgress } from "./blobs.ts";
import { downloadModel } from "./snapshot.ts";
import type { DownloadOptions } from "./wanted.ts";

describe("downloadModel", () => {
  let cacheDir: string;
  let hub: FakeHub;
  beforeEach(async () => {
    cacheDir = await mkdtemp(join(tmpdir(), "tunesmith-hub-"));
    hub = new FakeHub();
    await hub.listen();
  });
  afterEach(async () => {
    hub.close();
    await rm(cacheDir, { recursive: true });
  });

  const download = (options: DownloadOptions = {}) =>
    downloadModel("org/name", {
      cacheDir,
      endpoint: hub.endpoint,
      localFilesOnly: false,
      patience: { stall: 150, retry: 1 },
      ...options,
    });
  /** Names in the folder of blobs, without what is remembered of them. */
  const blobs = async () =>
    (await readdir(join(cacheDir, "models--org--name", "blobs"))).filter((name) => !name.endsWith("-verified")).sort();
  const expectWeights = async (snapshot: string) =>
    expect((await readFile(join(snapshot, "model.safetensors"))).equals(weights)).toBe(true);

  test("lays the cache out as huggingface_hub does and reports progress up to the total", async () => {
    const seen: DownloadProgress[] = [];
    const snapshot = await download({ onProgress: (progress) => seen.push(progress) });
    const folder = join(cacheDir, "models--org--name");
    expect(snapshot).toBe(join(folder, "snapshots", commit));
    await expectWeights(snapshot);
    expect(await readlink(join(snapshot, "model.safetensors"))).toBe(`../../blobs/${sha256}`);
    expect(await readFile(join(folder, "refs", "main"), "utf8")).toBe(commit);
    expect(await blobs()).toEqual([gitDigest(config), sha256].sort());
    expect(await readdir(snapshot)).toEqual(["config.json", "model.safetensors"]);
    const total = weights.length + config.length;
    expect(seen.at(-1)).toMatchObject({ loadedBytes: total, totalBytes: total });
  });

  test("downloads nothing twice and works offline afterwards", async () => {
    const snapshot = await download();
    await download();
    expect(hub.weightRequests()).toHaveLength(1);
    expect(await download({ localFilesOnly: true })).toBe(snapshot);
    hub.close();
    expect(await download()).toBe(snapshot);
  });

  test("goes on where a broken connection stopped", async () => {
    hub.weightsHandlers = [breakAfter(80_000), serveRange];
    await expectWeights(await download());
    const [first, second] = hub.weightRequests();
    expect(first?.range).toBeUndefined();
    expect(Number(/^bytes=(\d+)-$/u.exec(second?.range ?? "")?.[1])).toBeGreaterThan(0);
  });

  test("goes on where an earlier process stopped", async () => {
    const folder = join(cacheDir, "models--org--name", "blobs");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `${sha256}.tunesmith-partial`), weights.subarray(0, 1000));
    const lock = join(folder, `${sha256}.tunesmith-lock`);
    await writeFile(lock, "left by a process that was killed");
    await utimes(lock, new Date(2000, 0), new Date(2000, 0));
    await expectWeights(await download());
    expect(hub.weightRequests().map(({ range }) => range)).toEqual(["bytes=1000-"]);
  });

  test("starts from scratch when the server ignores Range", async () => {
    const ignoresRange: Handler = (_, response) => void response.end(weights);
    hub.weightsHandlers = [breakAfter(50_000), ignoresRange];
    await expectWeights(await download());
  });

  test("survives a stall, a reset before the first byte and a busy server", async () => {
    const stall: Handler = (_, response) => void response.write(weights.subarray(0, 10_000));
    const reset: Handler = (request) => void request.socket.destroy();
    hub.weightsHandlers = [stall, reset, status(503), status(429), serveRange];
    await expectWeights(await download());
  });

  test("starts from scratch when the range is refused or another one comes", async () => {
    const otherRange: Handler = (_, response) =>
      void response.writeHead(206, { "content-range": `bytes 5-9/${weights.length}` }).end("other");
    hub.weightsHandlers = [breakAfter(50_000), status(416), breakAfter(50_000), otherRange, serveRange];
    await expectWeights(await download());
  });

  test("refuses wrong bytes of the right size, and keeps none of them", async () => {
    hub.weightsHandlers = [(_, response) => void response.end(Buffer.alloc(weights.length))];
    await expect(download()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("checksum"),
    });
    expect(hub.weightRequests()).toHaveLength(2);
    expect(await blobs()).toEqual([gitDigest(config)]);
    await expect(stat(join(cacheDir, "models--org--name", "snapshots"))).rejects.toThrow();
  });

  test("refuses more bytes than promised and gives up on a server that never completes", async () => {
    hub.weightsHandlers = [(_, response) => void response.end(Buffer.concat([weights, weights]))];
    await expect(download()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("more than"),
    });
    hub.weightsHandlers = [status(500)];
    await expect(download()).rejects.toMatchObject({
      code: "DOWNLOAD_FAILED",
      message: expect.stringContaining("HTTP 500"),
    });
  });

  test("sends the token to the hub and to no host that it redirects to", async () => {
    const store = new FakeHub();
    await store.listen();
    hub.weightsHandlers = [
      (_, response) => void response.writeHead(302, { location: `${store.endpoint}/signed/model.safetensors` }).end(),
    ];
    await expectWeights(await download({ token: "hf_secret" }));
    store.close();
    expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer hf_secret"]));
    expect(store.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("stops on endless redirects", async () => {
    hub.weightsHandlers = [(request, response) => void response.writeHead(302, { location: request.url }).end()];
    await expect(download()).rejects.toMatchObject({ message: expect.stringContaining("redirects") });
  });

  test.each(["../../evil.safetensors", "/etc/passwd", "a\\..\\b", "C:evil", "a//b", "./config.json"])(
    "refuses a listing with the path %s",
    async (rfilename) => {
      hub.listing = { sha: commit, siblings: [{ rfilename, size: 1, blobId: "c".repeat(40) }] };
      await expect(download()).rejects.toMatchObject({
        code: "DOWNLOAD_FAILED",
        message: expect.stringContaining("nothing was downloaded"),
      });
      expect(await readdir(cacheDir)).toEqual([]);
    },
  );

  // CVE-2026-7020: a digest becomes a file name of the cache.
  test.each(["../../evil", "sha256:../../evil", "/etc/passwd", "c".repeat(39), "C".repeat(40), ""])(
    "refuses a listing with the digest %j",
    async (digest) => {
      const sibling = { rfilename: "model.safetensors", size: 1 };
      for (const named of [
        { ...sibling, blobId: digest },
        { ...sibling, blobId: "c".repeat(40), lfs: { sha256: digest, size: 1 } },
      ]) {
        hub.listing = { sha: commit, siblings: [named] };
        await expect(download()).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
        expect(await readdir(cacheDir)).toEqual([]);
      }
    },
  );

  test("says what to do about a gated model, an unknown one and one without weights", async () => {
    hub.listingStatus = 401;
    await expect(download()).rejects.toMatchObject({ message: expect.stringContaining("HF_TOKEN") });
    hub.listingStatus = 404;
    await expect(download()).rejects.toMatchObject({ message: expect.stringContaining("check the spelling") });
    hub.listingStatus = 200;
    hub.listing = { sha: commit, siblings: [] };
    await expect(download()).rejects.toMatchObject({ message: expect.stringContaining("GGUF") });
    await expect(downloadModel("a/../b", { cacheDir })).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
    await expect(download({ revision: "../../x" })).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  });

  test("gives up on a silent hub after the connect timeout", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const start = performance.now();
    await expect(download({ endpoint, connectTimeout: 100 })).rejects.toMatchObject({
      message: expect.stringContaining("none within 0.1 s"),
    });
    expect(performance.now() - start).toBeLessThan(2_000);
    silent.closeAllConnections();
    silent.close();
  });

  test("names what is missing when offline", async () => {
    await expect(download({ localFilesOnly: true })).rejects.toMatchObject({
      message: expect.stringContaining("config.json, model.safetensors"),
    });
    expect(hub.requests).toEqual([]);
  });

  test("keeps what has arrived when it is aborted", async () => {
    hub.weightsHandlers = [(_, response) => void response.write(weights.subarray(0, 5_000))];
    const controller = new AbortController();
    const onProgress = ({ file }: DownloadProgress) => file === "model.safetensors" && controller.abort();
    await expect(download({ signal: controller.signal, onProgress })).rejects.toMatchObject({
      name: "AbortError",
      code: "ABORTED",
    });
    expect((await stat(join(cacheDir, "models--org--name", "blobs", `${sha256}.tunesmith-partial`))).size).toBe(5_000);
  });

  test("shares one transfer between two downloads at once", async () => {
    const [first, second] = await Promise.all([download(), download()]);
    expect(second).toBe(first);
    expect(hub.weightRequests()).toHaveLength(1);
  });
});

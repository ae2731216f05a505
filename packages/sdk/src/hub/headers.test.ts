import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { estimateMemory } from "../estimate-memory.ts";
import { FakeHub, filesOf, type Handler } from "../testing/fake-hub.ts";
import { downloadModel } from "./snapshot.ts";

const folder = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
const files = filesOf(folder);
const weights = files.get("model.safetensors") as Buffer;
const header = 8 + Number(weights.readBigUInt64LE());
vi.setConfig({ testTimeout: 30_000 });

let cacheDir: string;
let hub: FakeHub;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "tunesmith-headers-test-"));
});
afterEach(async () => {
  hub.close();
  await rm(cacheDir, { recursive: true });
});

async function serve(content: ReadonlyMap<string, Buffer>): Promise<void> {
  hub = new FakeHub(content);
  await hub.listen();
}

const load = () => ({ endpoint: hub.endpoint, cacheDir, localFilesOnly: false, patience: { stall: 2_000, retry: 1 } });
const plan = async (model: string) => (await estimateMemory(model, { args: { maxLength: 64 } }, load())).plan;

/** Without what the machine has free. */
const figures = (found: object) => ({ ...found, free: null });

/** The same model in two files with an index. */
function sharded(): Map<string, Buffer> {
  const names = Object.entries(
    JSON.parse(weights.subarray(8, header).toString()) as Record<string, { data_offsets: [number, number] }>,
  );
  const tensors = names.filter(([name]) => name !== "__metadata__");
  const map: Record<string, string> = {};
  const content = new Map(files);
  content.delete("model.safetensors");
  for (const part of [1, 2]) {
    const name = `model-0000${part}-of-00002.safetensors`;
    const own = tensors.filter((_, index) => index % 2 === part - 1);
    let at = 0;
    const entries = own.map(([tensor, entry]) => {
      map[tensor] = name;
      const [from, to] = entry.data_offsets;
      at += to - from;
      return [tensor, { ...entry, data_offsets: [at - (to - from), at] }];
    });
    // Longer than what one request brings.
    const text = Buffer.from(
      JSON.stringify({ __metadata__: { padding: "x".repeat(200_000) }, ...Object.fromEntries(entries) }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    content.set(name, Buffer.concat([length, text, Buffer.alloc(at, 1)]));
  }
  content.set("model.safetensors.index.json", Buffer.from(JSON.stringify({ metadata: {}, weight_map: map })));
  return content;
}

test("a model of the hub is estimated from its configuration and headers", async () => {
  await serve(files);
  expect(figures(await plan("org/name"))).toEqual(figures(await plan(folder)));
  expect(hub.weightRequests().map(({ range }) => range)).toEqual([`bytes=0-${Math.min(weights.length, 1 << 17) - 1}`]);
  expect(hub.requests.some(({ url }) => url.endsWith("tokenizer.json"))).toBe(false);
  expect(
    (await readdir(tmpdir())).filter((name) => name.startsWith("tunesmith-headers-") && !name.includes("test")),
  ).toEqual([]);
});

test("so is one of several files, with headers longer than one request brings", async () => {
  const content = sharded();
  await serve(content);
  const local = join(cacheDir, "local");
  await mkdir(local);
  for (const [name, bytes] of content) await writeFile(join(local, name), bytes);
  expect(figures(await plan("org/name"))).toEqual(figures(await plan(local)));
  expect(hub.weightRequests()).toHaveLength(4);
});

test("a hub without ranges is stopped at the end of the header", async () => {
  await serve(files);
  let sent = 0;
  const drip: Handler = (_, response) => {
    response.writeHead(200, { "content-length": String(weights.length) });
    const next = () => {
      if (response.destroyed || sent >= weights.length) return;
      sent += 4096;
      response.write(weights.subarray(sent - 4096, sent), () => setTimeout(next, 1));
    };
    next();
  };
  hub.weightsHandlers = [drip];
  expect(figures(await plan("org/name"))).toEqual(figures(await plan(folder)));
});

test("what is in the cache as a whole is asked instead, and nothing is fetched", async () => {
  await serve(files);
  await downloadModel("org/name", load());
  const before = hub.weightRequests().length;
  expect(figures(await plan("org/name"))).toEqual(figures(await plan(folder)));
  expect(hub.weightRequests()).toHaveLength(before);
});

test.each([
  ["a page in its place", Buffer.from("<html>no</html>".repeat(100))],
  ["a length beyond the file", Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 123])],
  ["a length beyond any", Buffer.alloc(64, 255)],
  ["nothing", Buffer.alloc(0)],
])("%s is a typed error", async (_, content) => {
  await serve(new Map([...files, ["model.safetensors", content]]));
  await expect(plan("org/name")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
});

test.each([
  ["another range", "bytes 7-99/100"],
  ["less than asked for", "bytes 0-99/100"],
])("an answer of %s is a typed error", async (_, range) => {
  await serve(files);
  hub.weightsHandlers = [(_, response) => void response.writeHead(206, { "content-range": range }).end("short")];
  await expect(plan("org/name")).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
});

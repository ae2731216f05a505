import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { createGzip, gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { listRepo } from "./listing.ts";
import { get, HubUnreachableError, readText } from "./request.ts";

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ask = (endpoint: string) =>
  listRepo(
    { kind: "models", repo: "org/name", revision: "main" },
    { endpoint, token: "hf_secret", timeout: 1_000, patience: 30_000 },
  );
const sha = "c".repeat(40);

test.each([
  ["file:///etc/passwd", "file:"],
  ["data:application/json,{}", "data:"],
  ["ftp://127.0.0.1/x", "ftp:"],
  ["http://user:hunter2@127.0.0.1/x", "user or password"],
  ["http://[oops", "no address"],
])("a redirect to %s is a typed error that shows no secret", async (location, said) => {
  const endpoint = await serve((_, response) => void response.writeHead(302, { location }).end());
  const failure = ask(endpoint);
  await expect(failure).rejects.toMatchObject({ code: "DOWNLOAD_FAILED", message: expect.stringContaining(said) });
  await expect(failure).rejects.not.toMatchObject({ message: expect.stringMatching(/hunter2|hf_secret|passwd/u) });
});

test("a token that has left its host does not come back", async () => {
  const seen: (string | undefined)[] = [];
  const there = await serve((request, response) => {
    seen.push(request.headers.authorization);
    if (request.url === "/end") response.end("{}");
    else response.writeHead(302, { location: `${elsewhere}/` }).end();
  });
  const elsewhere = await serve((request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(302, { location: `${there}/end` }).end();
  });
  await get({ url: `${there}/start`, token: "hf_secret", timeout: 1_000 });
  expect(seen).toEqual(["Bearer hf_secret", undefined, undefined]);
});

test("a listing is read up to a limit, however small it was on its way", async () => {
  const bomb = await serve((_, response) => {
    response.writeHead(200, { "content-encoding": "gzip" });
    const zip = createGzip();
    zip.pipe(response);
    const fill = (left: number): void => {
      if (left === 0) return void zip.end();
      if (zip.write(Buffer.alloc(1 << 20, 32))) setImmediate(fill, left - 1);
      else zip.once("drain", () => fill(left - 1));
    };
    fill(400);
  });
  const before = process.memoryUsage().rss;
  await expect(ask(bomb)).rejects.toMatchObject({
    code: "DOWNLOAD_FAILED",
    message: expect.stringContaining("at most"),
  });
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * 2 ** 20);
});

test("millions of wrong entries, a file twice and packed garbage are one typed error each", async () => {
  const entry = { rfilename: "config.json", size: 1, blobId: sha };
  const texts = [
    `{"sha":"${sha}","siblings":[${"0,".repeat(2_000_000)}0]}`,
    JSON.stringify({ sha, siblings: [entry, entry] }),
  ];
  for (const text of [...texts, "[".repeat(1_000_000), "<html>", "null", ""]) {
    const endpoint = await serve((_, response) => void response.end(text));
    await expect(ask(endpoint)).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
  }
  const torn = gzipSync(JSON.stringify({ sha, siblings: [] })).subarray(0, 30);
  const endpoint = await serve((_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(torn));
  await expect(ask(endpoint)).rejects.toMatchObject({ code: "DOWNLOAD_FAILED" });
});

test("an answer that drips without end is given up", async () => {
  const endpoint = await serve((_, response) => {
    const drip = setInterval(() => response.write(" "), 20);
    response.on("close", () => clearInterval(drip));
  });
  const start = performance.now();
  const response = await get({ url: endpoint, token: null, timeout: 1_000 });
  await expect(readText(response, "org/name", { bytes: 1e6, timeout: 200 })).rejects.toMatchObject({
    code: "DOWNLOAD_FAILED",
    message: expect.stringContaining("none within 0.2 s"),
  });
  expect(performance.now() - start).toBeLessThan(2_000);
});

test("a busy hub is as good as none, so that a copy in the cache serves", async () => {
  for (const status of [429, 500, 503]) {
    const endpoint = await serve((_, response) => void response.writeHead(status).end());
    await expect(ask(endpoint)).rejects.toBeInstanceOf(HubUnreachableError);
  }
});

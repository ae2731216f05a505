// A hub on the loopback interface with one small model, for tests.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export const commit = "0123456789abcdef0123456789abcdef01234567";
export const weights = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 251));
export const config = Buffer.from('{"model_type":"llama"}');
export const sha256 = createHash("sha256").update(weights).digest("hex");
export const gitDigest = (content: Buffer) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A file as a listing names it: weights by their SHA-256, everything else by git's digest. */
export function sibling(rfilename: string, content: Buffer): object {
  const size = content.length;
  if (!rfilename.endsWith(".safetensors")) return { rfilename, size, blobId: gitDigest(content) };
  const lfs = { sha256: createHash("sha256").update(content).digest("hex"), size };
  return { rfilename, size, blobId: "a".repeat(40), lfs };
}

/** The files of a folder by their names. */
export function filesOf(folder: string): Map<string, Buffer> {
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
}

/** A hub on the loopback interface. `weightsHandlers` answer for the weights; everything else is answered well. */
export class FakeHub {
  readonly requests: { url: string; range: string | undefined; authorization: string | undefined }[] = [];
  listing: unknown;
  endpoint = "";
  listingStatus = 200;
  /** One per request, the last one for all further ones. */
  weightsHandlers: Handler[] = [];
  readonly #server: Server;

  /** @param files of its model; without them two small ones */
  constructor(
    files: ReadonlyMap<string, Buffer> = new Map([
      ["config.json", config],
      ["model.safetensors", weights],
    ]),
  ) {
    const siblings = [...files].map(([name, content]) => sibling(name, content));
    this.listing = {
      sha: commit,
      siblings: [...siblings, { rfilename: "onnx/model.onnx", size: 5, blobId: "b".repeat(40) }],
    };
    this.#server = createServer((request, response) => {
      const url = request.url as string;
      this.requests.push({ url, range: request.headers.range, authorization: request.headers.authorization });
      if (url.startsWith("/api/")) {
        response
          .writeHead(this.listingStatus, { "content-type": "application/json" })
          .end(JSON.stringify(this.listing));
        return;
      }
      const handlers = url.endsWith(".safetensors") ? this.weightsHandlers : [];
      const handler = handlers.length > 1 ? handlers.shift() : handlers[0];
      const [, path = ""] = /\/resolve\/[0-9a-f]+\/(.*)$/u.exec(decodeURIComponent(url)) ?? [];
      const content = files.get(path) ?? files.get(url.split("/").at(-1) as string);
      if (handler !== undefined) handler(request, response);
      else if (content === undefined) response.writeHead(404).end();
      else serve(content, request, response);
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.endpoint = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  weightRequests(): FakeHub["requests"] {
    return this.requests.filter(({ url }) => url.endsWith(".safetensors"));
  }
}

/** Answers with a file, or the range of it that was asked for. */
export function serve(content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? "") ?? [];
  if (first === undefined) {
    response.end(content);
    return;
  }
  const end = Math.min(last === undefined || last === "" ? Number.POSITIVE_INFINITY : Number(last), content.length - 1);
  response.writeHead(206, { "content-range": `bytes ${first}-${end}/${content.length}` });
  response.end(content.subarray(Number(first), end + 1));
}

/** Answers well for the weights. */
export const serveRange: Handler = (request, response) => serve(weights, request, response);

/** Promises everything and sends only the first `bytes`, then breaks the connection. */
export const breakAfter =
  (bytes: number): Handler =>
  (_, response) => {
    response.writeHead(200, { "content-length": String(weights.length) });
    response.write(weights.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20));
  };
export const status =
  (code: number): Handler =>
  (_, response) =>
    void response.writeHead(code).end("no");

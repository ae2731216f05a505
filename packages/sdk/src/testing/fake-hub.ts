// A hub on the loopback interface with one small model, for tests.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const commit = "0123456789abcdef0123456789abcdef01234567";
export const weights = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 251));
export const config = Buffer.from('{"model_type":"llama"}');
export const sha256 = createHash("sha256").update(weights).digest("hex");
export const gitDigest = (content: Buffer) =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A hub on the loopback interface. `weightsHandler` answers for the weights; everything else is answered well. */
export class FakeHub {
  readonly requests: { url: string; range: string | undefined; authorization: string | undefined }[] = [];
  listing: unknown = {
    sha: commit,
    siblings: [
      { rfilename: "config.json", size: config.length, blobId: gitDigest(config) },
      {
        rfilename: "model.safetensors",
        size: weights.length,
        blobId: "a".repeat(40),
        lfs: { sha256, size: weights.length },
      },
      { rfilename: "onnx/model.onnx", size: 5, blobId: "b".repeat(40) },
    ],
  };
  endpoint = "";
  listingStatus = 200;
  /** One per request, the last one for all further ones. */
  weightsHandlers: Handler[] = [serveRange];
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const url = request.url as string;
      this.requests.push({ url, range: request.headers.range, authorization: request.headers.authorization });
      if (url.startsWith("/api/")) {
        response
          .writeHead(this.listingStatus, { "content-type": "application/json" })
          .end(JSON.stringify(this.listing));
      } else if (url.endsWith("/config.json")) response.end(config);
      else {
        const handler = this.weightsHandlers.length > 1 ? this.weightsHandlers.shift() : this.weightsHandlers[0];
        handler?.(request, response);
      }
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
    return this.requests.filter(({ url }) => url.endsWith("model.safetensors"));
  }
}

export function serveRange(request: IncomingMessage, response: ServerResponse): void {
  const from = Number(/^bytes=(\d+)-$/u.exec(request.headers.range ?? "")?.[1] ?? 0);
  if (from > 0) response.writeHead(206, { "content-range": `bytes ${from}-${weights.length - 1}/${weights.length}` });
  response.end(weights.subarray(from));
}

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

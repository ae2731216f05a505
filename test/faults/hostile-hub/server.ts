// Plays the script of a hostile hub on the loopback interface.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createGzip, gzipSync } from "node:zlib";
import { commit, serve } from "../../../packages/sdk/src/testing/fake-hub.ts";
import { type Draws, lies, listingOf, type Misdeed, type Script } from "./script.ts";

/** A hub and, at another address, a store that it redirects to. */
export class HostileHub {
  endpoint = "";
  /** What the store was told by way of authorization. */
  readonly leaked: string[] = [];
  /** True: every answer is good. */
  good = false;
  #elsewhere = "";
  readonly #script: Script;
  readonly #servers: Server[] = [];

  constructor(script: Script) {
    this.#script = script;
  }

  async open(): Promise<void> {
    this.endpoint = await this.#listen((request, response) => this.#answer(request, response));
    this.#elsewhere = await this.#listen((request, response) => {
      if (request.headers.authorization !== undefined) this.leaked.push(request.headers.authorization);
      serve(this.#content(request), request, response);
    });
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }

  async #listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(answer);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    // A client that has gone is the point of many scripts.
    response.on("error", () => {});
    const isListing = request.url?.startsWith("/api/") === true;
    const queue = isListing ? this.#script.listings : this.#script.answers;
    const deed = this.good ? undefined : queue.shift();
    const lie = lies.find((one) => one === deed) ?? null;
    const content = isListing ? Buffer.from(listingOf(this.#script.files, commit, lie)) : this.#content(request);
    if (deed === undefined || lie !== null) serve(content, request, response);
    else
      misbehave(deed as Misdeed, { content, request, response, elsewhere: this.#elsewhere, draws: this.#script.draws });
  }

  #content(request: IncomingMessage): Buffer {
    const name = new URL(request.url ?? "/", "http://hub").pathname.split("/").at(-1) ?? "";
    return this.#script.files.get(name) ?? Buffer.from("no such file");
  }
}

interface Scene {
  content: Buffer;
  request: IncomingMessage;
  response: ServerResponse;
  elsewhere: string;
  draws: Draws;
}

function misbehave(deed: Misdeed, { content, request, response, elsewhere, draws }: Scene): void {
  const half = content.subarray(0, draws.below(content.length + 1));
  const redirect = (location: string) => void response.writeHead(302, { location }).end();
  const packed = (body: Buffer) => void response.writeHead(200, { "content-encoding": "gzip" }).end(body);
  const deeds: Record<Misdeed, () => void> = {
    truncates: () => {
      response.writeHead(200, { "content-length": String(content.length + 1) });
      response.write(half, () => setTimeout(() => response.destroy(), 5));
    },
    "promises less": () => void response.writeHead(200, { "content-length": String(half.length) }).end(half),
    "sends more": () => void response.end(Buffer.concat([content, draws.bytes(9)])),
    stalls: () => void response.write(half.length > 0 ? half : "x"),
    drips: () => drip(response, content),
    resets: () => void request.socket.destroy(),
    "wrong bytes": () => void response.end(draws.bytes(content.length)),
    "another version": () => void response.end(Buffer.from(content).fill(7, 0, Math.min(5, content.length))),
    page: () => void response.writeHead(200, { "content-type": "text/html" }).end("<html>sign in</html>"),
    nothing: () => void response.end(),
    "ignores ranges": () => void response.end(content),
    "other range": () =>
      void response.writeHead(206, { "content-range": `bytes 3-9/${content.length}` }).end(content.subarray(3, 10)),
    "range without its place": () => void response.writeHead(206).end(half),
    "refuses ranges": () => void response.writeHead(416).end(),
    packed: () => packed(gzipSync(content)),
    bomb: () => bomb(response),
    "torn packing": () => packed(gzipSync(Buffer.concat([content, Buffer.alloc(100)])).subarray(0, 15)),
    nonsense: () => void request.socket.end("SSH-2.0-OpenSSH_9\r\n\r\n"),
    "long headers": () => void response.writeHead(200, { "x-long": "x".repeat(40_000) }).end(content),
    status: () => void response.writeHead(draws.one([400, 401, 403, 404, 410, 451])).end("no"),
    busy: () => {
      const after = draws.one(["0", "1", "86400", "Fri, 31 Dec 2100 00:00:00 GMT", "soon", "-5"]);
      response.writeHead(draws.one([429, 500, 502, 503, 504]), { "retry-after": after }).end("later");
    },
    "redirect away": () => redirect(`${elsewhere}${request.url}`),
    "redirect loop": () => redirect(request.url ?? "/"),
    "redirect to a file": () => redirect("file:///etc/passwd"),
    "redirect with a password": () => redirect(`http://user:hunter2@${new URL(elsewhere).host}/`),
    "redirect to nowhere": () => redirect("http://[nowhere"),
  };
  deeds[deed]();
}

/** A byte now and then. */
function drip(response: ServerResponse, content: Buffer): void {
  response.writeHead(200, { "content-length": String(content.length + 10) });
  let at = 0;
  const timer = setInterval(() => {
    response.write(content.subarray(at, at + 1));
    at += 1;
  }, 10);
  response.on("close", () => clearInterval(timer));
}

/** Half a gigabyte in half a megabyte. */
function bomb(response: ServerResponse): void {
  response.writeHead(200, { "content-encoding": "gzip" });
  const zip = createGzip({ level: 1 });
  zip.pipe(response);
  response.on("close", () => zip.destroy());
  zip.on("error", () => {});
  const zeros = Buffer.alloc(1 << 20);
  const fill = (left: number): void => {
    if (zip.destroyed) return;
    if (left === 0) zip.end();
    else if (zip.write(zeros)) setImmediate(fill, left - 1);
    else zip.once("drain", () => fill(left - 1));
  };
  fill(512);
}

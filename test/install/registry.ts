// A small npm registry on the loopback interface: it takes packages, tells of them, and refuses what it is told to refuse.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

interface Version {
  version: string;
  dist: { integrity?: string };
}

/** The registry, with what it was asked to publish. */
export interface Registry extends AsyncDisposable {
  address: string;
  /** `NAME@VERSION` of what was taken, in order. */
  taken: string[];
  /** Names that are refused. */
  refuses: Set<string>;
}

/** Starts a registry. */
export async function startRegistry(): Promise<Registry> {
  const known = new Map<string, Record<string, Version>>();
  const taken: string[] = [];
  const refuses = new Set<string>();
  const take = async (name: string, request: IncomingMessage): Promise<[number, unknown]> => {
    if (request.method !== "PUT") {
      const versions = known.get(name);
      if (versions === undefined) return [404, { error: "not_found" }];
      return [200, { name, versions, "dist-tags": { latest: Object.keys(versions).at(-1) } }];
    }
    if (refuses.has(name)) return [403, { error: `you may not publish ${name}` }];
    const { versions } = JSON.parse(await textOf(request)) as { versions: Record<string, Version> };
    const [[version, manifest] = ["", undefined]] = Object.entries(versions);
    const there = known.get(name) ?? {};
    if (manifest === undefined || version in there)
      return [403, { error: `You cannot publish over the previously published versions: ${version}.` }];
    known.set(name, { ...there, [version]: manifest });
    taken.push(`${name}@${version}`);
    return [201, { ok: true }];
  };
  const server = createServer(async (request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? "/", "http://registry").pathname.slice(1));
    const [status, body] = await take(name, request);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { address, taken, refuses, [Symbol.asyncDispose]: stop };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

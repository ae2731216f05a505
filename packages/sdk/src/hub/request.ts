// GET requests to the hub.
import { AbortError, DownloadError, failureOf, inTime, late } from "@tunesmith/core";

/** No answer of the hub: the one failure after which a cached copy or another source may serve. */
export class HubUnreachableError extends DownloadError {}

/** One GET request. */
export interface HubRequest {
  url: string;
  headers?: Record<string, string>;
  /** Sent to the origin of `url` until it redirects to another, never to that. */
  token: string | null;
  /** Milliseconds until the answer's headers. */
  timeout: number;
  signal?: AbortSignal | undefined;
}

/** Most redirects that are followed. */
const maxRedirects = 5;

/** GET. Follows redirects itself, so that the token stays with the first host and a secure address never leads to an insecure one. */
export async function get({ url, headers = {}, token, timeout, signal }: HubRequest): Promise<Response> {
  const first = new URL(url);
  let address = first;
  let trusted = true;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const authorization = token !== null && trusted ? { authorization: `Bearer ${token}` } : {};
    // Ranges and sizes count the bytes of the file, so it must not be compressed on its way.
    const sent = { "accept-encoding": "identity", "user-agent": "tunesmith", ...headers, ...authorization };
    const response = await fetchOnce(address, sent, timeout, signal);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    address = redirected(location, address, first.host);
    trusted &&= address.origin === first.origin;
  }
  throw new DownloadError(
    `[${first.host}] expected a file, got more than ${maxRedirects} redirects; check HF_ENDPOINT`,
  );
}

/** Where a redirect leads. Of its address only the host is shown: the rest may be signed. */
function redirected(location: string, from: URL, place: string): URL {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : null;
  const expected = `[${place}] expected a redirect to another address of the web`;
  if (next === null) throw new DownloadError(`${expected}, got one to no address; check HF_ENDPOINT`);
  if (next.protocol !== "https:" && next.protocol !== from.protocol)
    throw new DownloadError(
      `[${place}] expected a secure redirect, got one to ${next.protocol}//${next.host}; check HF_ENDPOINT`,
    );
  if (next.username + next.password !== "")
    throw new DownloadError(`${expected}, got one with a user or password to ${next.host}; check HF_ENDPOINT`);
  return next;
}

async function fetchOnce(
  address: URL,
  headers: Record<string, string>,
  timeout: number,
  signal?: AbortSignal,
): Promise<Response> {
  try {
    return await inTime((stop) => fetch(address, { headers, redirect: "manual", signal: stop }), timeout, signal);
  } catch (cause) {
    if (signal?.aborted)
      throw new AbortError("[download] stopped on request; the part that has arrived is kept", { cause });
    const got = cause === late ? `none within ${timeout / 1000} s` : failureOf(cause);
    throw new HubUnreachableError(
      `[${address.host}] expected an answer, got ${got}; check the connection, or give the path of a local model`,
      { cause },
    );
  }
}

/** How a body may come. */
export interface BodyLimits {
  /** Bytes at most, after they are unpacked: a server may pack what was asked for as it is. */
  bytes: number;
  /** Milliseconds until its end. */
  timeout: number;
}

/** The text of an answer; one that is longer or later than allowed is refused. */
export async function readText(response: Response, place: string, limits: BodyLimits): Promise<string> {
  const body = await readStart(response, place, { ...limits, bytes: limits.bytes + 1 });
  if (body.length <= limits.bytes) return body.toString("utf8");
  throw new DownloadError(`[${place}] expected an answer of at most ${limits.bytes} bytes, got more; nothing was kept`);
}

/** The first bytes of an answer, or all where it has no more; the rest is not waited for. */
export async function readStart(response: Response, place: string, { bytes, timeout }: BodyLimits): Promise<Buffer> {
  const reader = response.body?.getReader();
  if (reader === undefined) return Buffer.alloc(0);
  let late = false;
  // A read that waits ends with the stream.
  const stop = () => void reader.cancel().catch(() => {});
  const timer = setTimeout(() => {
    late = true;
    stop();
  }, timeout);
  const chunks: Uint8Array[] = [];
  try {
    for (let missing = bytes; missing > 0; ) {
      const { done, value } = await reader.read();
      if (late || done) break;
      chunks.push(value.subarray(0, missing));
      missing -= Math.min(missing, value.length);
    }
  } catch (cause) {
    throw new HubUnreachableError(`[${place}] expected an answer, got a broken connection; try again`, { cause });
  } finally {
    clearTimeout(timer);
    stop();
  }
  if (late)
    throw new HubUnreachableError(`[${place}] expected an answer, got none within ${timeout / 1000} s; try again`);
  return Buffer.concat(chunks);
}

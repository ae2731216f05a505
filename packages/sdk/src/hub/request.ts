// GET requests to the hub.
import { AbortError, DownloadError } from "@tunesmith/core";

/** No connection to the hub: the one failure after which a cached copy or another source may serve. */
export class HubUnreachableError extends DownloadError {}

/** One GET request. */
export interface HubRequest {
  url: string;
  headers?: Record<string, string>;
  /** Sent to the origin of `url`, never to another that it redirects to. */
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
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const authorization = token !== null && address.origin === first.origin ? { authorization: `Bearer ${token}` } : {};
    // Ranges and sizes count the bytes of the file, so it must not be compressed on its way.
    const sent = { "accept-encoding": "identity", "user-agent": "tunesmith", ...headers, ...authorization };
    const response = await fetchOnce(address, sent, timeout, signal);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, address);
    if (next.protocol !== "https:" && next.protocol !== address.protocol) {
      throw new DownloadError(
        `[${first.host}] expected a secure redirect, got one to ${next.protocol}//${next.host}; check HF_ENDPOINT`,
      );
    }
    address = next;
  }
  throw new DownloadError(
    `[${first.host}] expected a file, got more than ${maxRedirects} redirects; check HF_ENDPOINT`,
  );
}

async function fetchOnce(
  address: URL,
  headers: Record<string, string>,
  timeout: number,
  signal?: AbortSignal,
): Promise<Response> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), timeout);
  const signals = signal === undefined ? [patience.signal] : [patience.signal, signal];
  try {
    return await fetch(address, { headers, redirect: "manual", signal: AbortSignal.any(signals) });
  } catch (cause) {
    if (signal?.aborted)
      throw new AbortError("[download] stopped on request; the part that has arrived is kept", { cause });
    const got = patience.signal.aborted ? `none within ${timeout / 1000} s` : reason(cause);
    throw new HubUnreachableError(
      `[${address.host}] expected an answer, got ${got}; check the connection, or give the path of a local model`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** What fetch itself hides in `cause`. */
function reason(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string };
  return cause?.code ?? cause?.message ?? message;
}

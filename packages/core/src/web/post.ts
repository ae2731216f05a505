// One request to an endpoint in OpenAI's form.
import type { EndpointReply } from "./endpoint.ts";
import { discard, retryAfter } from "./response.ts";

/** Bytes of an answer at most. */
const largest = 1 << 25;
/** Characters of an endpoint's own words that are shown. */
const shownWords = 200;

/** What came was no answer. */
export class Refusal extends Error {
  /** Whether the next try may succeed. */
  readonly passing: boolean;
  /** Milliseconds that the endpoint asks to wait. */
  readonly retryAfter: number;

  constructor(message: string, options: { passing: boolean; retryAfter?: number; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.passing = options.passing;
    this.retryAfter = options.retryAfter ?? 0;
  }
}

/** Sends a request; anything but an answer is a {@link Refusal}, and what fetch throws where there is no connection. */
export async function post(
  url: string,
  body: object,
  apiKey: string | undefined,
  signal: AbortSignal,
): Promise<EndpointReply> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "user-agent": "tunesmith",
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    },
    body: JSON.stringify(body),
    // The key belongs to this address alone, and a redirected POST may arrive as a GET.
    redirect: "manual",
    signal,
  });
  if (response.status >= 300 && response.status < 400) {
    discard(response);
    throw new Refusal(`a redirect (HTTP ${response.status}); give the address it leads to`, { passing: false });
  }
  const text = await textOf(response);
  const shown = excerpts(apiKey);
  if (!response.ok) throw refusalOf(response, text, shown);
  return replyOf(text, shown);
}

type Excerpt = (text: string, most: number) => string;

/** Shows the beginning of a text without the key, which some endpoints repeat: taken out before the cut, which might leave a part of it. */
function excerpts(apiKey: string | undefined): Excerpt {
  return (text, most) => (apiKey === undefined ? text : text.replaceAll(apiKey, "***")).slice(0, most);
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > largest) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new Refusal("a cut connection", { passing: true, cause });
  }
  if (size > largest) throw new Refusal(`more than ${largest} bytes`, { passing: false });
  return Buffer.concat(chunks).toString("utf8");
}

function refusalOf(response: Response, text: string, shown: Excerpt): Refusal {
  const { status } = response;
  const { code, message } = wordsOf(text);
  const words = message === "" ? "" : ` (${shown(message, shownWords)})`;
  // An account without credit answers 429 too, and for good.
  const passing = [408, 425, 429].includes(status) || status >= 500;
  return new Refusal(`HTTP ${status}${words}`, {
    passing: passing && code !== "insufficient_quota",
    retryAfter: retryAfter(response),
  });
}

/** What an endpoint says of its refusal. */
function wordsOf(text: string): { code: string; message: string } {
  const error = (parsed(text) as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  const { code, message } = typeof error === "object" && error !== null ? error : { code: "", message: error };
  return { code: String(code ?? ""), message: typeof message === "string" ? message : "" };
}

function replyOf(text: string, shown: Excerpt): EndpointReply {
  const value = parsed(text) as {
    choices?: { text?: unknown; message?: { content?: unknown }; finish_reason?: unknown }[];
  };
  if (value === null) throw new Refusal(`no JSON: ${JSON.stringify(shown(text, 80))}`, { passing: true });
  const choice = Array.isArray(value.choices) ? value.choices[0] : undefined;
  // A reply that is all reasoning has no content.
  const said = choice?.message?.content ?? choice?.text ?? "";
  if (choice === undefined || typeof said !== "string")
    throw new Refusal(`an answer without a text, ${JSON.stringify(shown(text, 80))}`, { passing: false });
  return { text: said, finishReason: choice.finish_reason === "length" ? "length" : "stop" };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// A model at an endpoint in OpenAI's form: asked again when it fails in passing, and not more often than allowed.
import { setTimeout as sleep } from "node:timers/promises";
import { ArgumentError, EndpointError } from "../errors.ts";
import { type OptionKeys, parseKeys } from "../options/keys.ts";
import { inTime, late } from "./deadline.ts";
import { post, Refusal } from "./post.ts";
import { failureOf } from "./response.ts";

/** A model at an endpoint in OpenAI's form, and how patiently it is asked. */
export interface EndpointOptions {
  /** Address before `/chat/completions` or `/completions`, such as `http://localhost:8000/v1`. */
  baseUrl: string;
  /** Name of the model. */
  model: string;
  /** Sent as a bearer token, and in no message. Default: none. */
  apiKey?: string;
  /** Milliseconds that it has for one answer. Default 120,000. */
  timeout?: number;
  /** Times that it is asked again after a failure in passing: 408, 425, 429, 5xx, a cut connection, no answer in time. Default 6. */
  maxRetries?: number;
  /** Milliseconds before the second try; doubled for each further one up to a minute. `Retry-After` makes it longer. Default 500. */
  retryDelay?: number;
  /** Requests a minute at most, tries included. Default: no limit. */
  requestsPerMinute?: number;
}

/** The options of an endpoint, for functions that take them among others. */
export const endpointKeys = {
  baseUrl: "required text",
  model: "required text",
  apiKey: "optional text",
  timeout: "optional number",
  maxRetries: "optional number",
  retryDelay: "optional number",
  requestsPerMinute: "optional number",
} as const satisfies OptionKeys<EndpointOptions>;

/** What is asked for: a text to continue, or turns to answer. */
export interface EndpointRequest {
  /** Text to continue (`/completions`). */
  prompt?: string;
  /** Turns to answer (`/chat/completions`), where there is no prompt. */
  messages?: readonly { role: string; content: string }[];
  /** 0 is greedy. */
  temperature: number;
  /** Tokens to write at most. */
  maxTokens: number;
  /** Default: the endpoint's. */
  topP?: number;
  /** Default: the endpoint's. */
  presencePenalty?: number;
  /** Texts that end the answer and are not part of it; OpenAI takes four. Default: none. */
  stop?: readonly string[];
  /** Default: none. */
  seed?: number;
}

/** An answer. */
export interface EndpointReply {
  text: string;
  /** `length`: it was cut at `maxTokens`. */
  finishReason: "stop" | "length";
}

/** Milliseconds between two tries at most, but where the endpoint asks for more. */
const longestPause = 60_000;
/** Milliseconds that an endpoint may ask to wait. */
const mostAsked = 600_000;

/** A model at an endpoint in OpenAI's form. */
export class TextEndpoint {
  readonly #options: Required<Omit<EndpointOptions, "apiKey">> & Pick<EndpointOptions, "apiKey">;
  readonly #base: string;
  /** When the next request may begin, in milliseconds of `performance.now()`. */
  #next = 0;
  #hasAnswered = false;

  /** What is wrong with the options is an `OptionError` or `ArgumentError` that does not show the key. */
  constructor(options: EndpointOptions, place = "endpoint") {
    const {
      timeout = 120_000,
      maxRetries = 6,
      retryDelay = 500,
      ...given
    } = parseKeys<EndpointOptions>(endpointKeys, options, place);
    const requestsPerMinute = given.requestsPerMinute ?? Number.POSITIVE_INFINITY;
    this.#options = { ...given, timeout, maxRetries, retryDelay, requestsPerMinute };
    this.#base = checkedBase(given.baseUrl, place);
    for (const [name, value] of Object.entries({ timeout, requestsPerMinute }))
      if (!(value > 0))
        throw new ArgumentError(`[${place}.${name}] expected a number above 0, got ${value}; correct it`);
    for (const [name, value] of Object.entries({ maxRetries, retryDelay }))
      if (value < 0) throw new ArgumentError(`[${place}.${name}] expected 0 or more, got ${value}; correct it`);
    if (given.model === "") throw new ArgumentError(`[${place}.model] expected the name of a model, got ""; give it`);
    // The runtime's own error would show it.
    if (given.apiKey !== undefined && !/^[\x21-\x7e]+$/u.test(given.apiKey))
      throw new ArgumentError(
        `[${place}.apiKey] expected printable ASCII without spaces, got something else; correct it`,
      );
  }

  /** Name of the model. */
  get model(): string {
    return this.#options.model;
  }

  /**
   * The answer to one request. Rejects with an `EndpointError` when it is refused or all tries have failed; an endpoint that has never
   * answered and cannot be connected to is not asked again.
   */
  async complete(request: EndpointRequest, signal?: AbortSignal): Promise<EndpointReply> {
    const { maxRetries, retryDelay } = this.#options;
    for (let failures = 0; ; ) {
      await this.#turn(signal);
      try {
        const reply = await this.#ask(request, signal);
        this.#hasAnswered = true;
        return reply;
      } catch (cause) {
        signal?.throwIfAborted();
        const refusal = cause instanceof Refusal ? cause : null;
        this.#hasAnswered ||= refusal !== null;
        failures += 1;
        const passing = refusal?.passing ?? this.#hasAnswered;
        const asked = refusal?.retryAfter ?? 0;
        if (!passing || failures > maxRetries || asked > mostAsked) throw this.#failure(cause, failures);
        const pause = Math.max(asked, Math.min(longestPause, retryDelay * 2 ** (failures - 1)));
        await sleep(pause, undefined, { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  }

  /** Waits until the next request is allowed. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const now = performance.now();
    const at = Math.max(now, this.#next);
    this.#next = at + 60_000 / this.#options.requestsPerMinute;
    if (at > now) await sleep(at - now, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }

  async #ask(request: EndpointRequest, signal: AbortSignal | undefined): Promise<EndpointReply> {
    const { model, apiKey, timeout } = this.#options;
    const { prompt, messages = [] } = request;
    const path = prompt === undefined ? "chat/completions" : "completions";
    const body = { model, ...(prompt === undefined ? { messages } : { prompt }), ...wire(request) };
    try {
      return await inTime((stop) => post(`${this.#base}/${path}`, body, apiKey, stop), timeout, signal);
    } catch (cause) {
      throw cause === late ? new Refusal(`none within ${timeout / 1000} s`, { passing: true, cause }) : cause;
    }
  }

  #failure(cause: unknown, tries: number): EndpointError {
    const got = cause instanceof Refusal ? cause.message : failureOf(cause);
    const again = tries === 1 ? "" : `, ${tries} times`;
    return new EndpointError(
      `[${this.#base}] expected an answer of ${this.model}, got ${got}${again}; check the address, the model and the key`,
    );
  }
}

/** What is sent besides the model and the text. */
function wire({ temperature, maxTokens, topP, presencePenalty, stop, seed }: EndpointRequest): Record<string, unknown> {
  const given = { temperature, max_tokens: maxTokens, top_p: topP, presence_penalty: presencePenalty, stop, seed };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function checkedBase(address: string, place: string): string {
  const url = URL.canParse(address) ? new URL(address) : null;
  const expected = `[${place}.baseUrl] expected an address such as http://localhost:8000/v1`;
  if (url === null || !/^https?:$/u.test(url.protocol))
    throw new ArgumentError(`${expected}, got ${JSON.stringify(address)}; correct it`);
  if (url.username + url.password !== "")
    throw new ArgumentError(`${expected}, got one with a user or password; leave them out and give apiKey`);
  // The path of a request follows the address, and a query may hold a key.
  if (url.search + url.hash !== "")
    throw new ArgumentError(`${expected}, got one with a query or a fragment; leave it out`);
  return address.replace(/\/+$/u, "");
}

// Generation as an async iterable over the binding's callback.
import {
  AbortError,
  type GenerateOptions,
  generationConfigSchema,
  parseArgument,
  type TokenEvent,
} from "@tunesmith/core";
import { type Native, native } from "./binding.ts";
import { array, object, refuse, typedArray } from "./check.ts";

/** As the binding numbers them. */
const finishReasons = [null, "stop", "length"] as const;

/**
 * Tokens of a generation as they come. It starts with the first `next()`; leaving the loop early stops it after the token in
 * hand, and so does the signal, with an `AbortError`.
 */
export async function* generate(
  session: Native.Session,
  call: (run: () => Promise<Int32Array>) => Promise<Int32Array>,
  options: GenerateOptions,
  eosTokenIds: readonly number[],
): AsyncGenerator<TokenEvent, void, undefined> {
  const { signal, prompts, ...given } = object("generate.options", options);
  const { ids, starts } = joined(prompts);
  const { stopTokenIds, ...sampling } = parseArgument(generationConfigSchema, given, "generate");
  const wanted = { ...sampling, stopTokenIds: stopTokenIds ?? [...eosTokenIds] };
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    refuse("generate.signal", "an AbortSignal", signal);
  if (signal?.aborted) throw aborted(signal);
  const arrived = new Arrivals();
  const cancellation = native((library) => new library.Cancellation());
  const abort = () => {
    cancellation.cancel();
    arrived.fail(aborted(signal));
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    call(() => session.generate(ids, starts, wanted, arrived.add, cancellation)).then(arrived.end, arrived.fail);
    for (let tokens = await arrived.next(); tokens !== null; tokens = await arrived.next()) {
      for (const event of events(tokens)) {
        yield event;
        if (signal?.aborted) throw aborted(signal);
      }
    }
  } finally {
    cancellation.cancel();
    signal?.removeEventListener("abort", abort);
  }
}

function aborted(signal: AbortSignal | undefined): AbortError {
  return new AbortError("[generate] aborted", { cause: signal?.reason });
}

function* events(tokens: Int32Array): Generator<TokenEvent> {
  for (let place = 0; place < tokens.length; place += 3) {
    const [index, tokenId, finish] = tokens.subarray(place, place + 3) as unknown as [number, number, number];
    yield { index, sample: 0, tokenId, logProb: null, finishReason: finishReasons[finish] ?? null };
  }
}

/** What the binding delivers, until someone asks for it. */
class Arrivals {
  readonly #waiting: Int32Array[] = [];
  #ended = false;
  #failure: { error: unknown } | null = null;
  #wake: () => void = () => {};

  readonly add = (tokens: Int32Array): void => {
    if (tokens.length > 0) this.#waiting.push(tokens);
    this.#wake();
  };

  readonly end = (rest: Int32Array): void => {
    this.#ended = true;
    this.add(rest);
  };

  readonly fail = (error: unknown): void => {
    this.#failure ??= { error };
    this.#wake();
  };

  /** The next tokens, or null at the end. Tokens that came before a failure are given first. */
  async next(): Promise<Int32Array | null> {
    for (;;) {
      const tokens = this.#waiting.shift();
      if (tokens !== undefined) return tokens;
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#ended) return null;
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
  }
}

function joined(prompts: readonly Int32Array[]): { ids: Int32Array; starts: Int32Array } {
  const checked = array("generate.prompts", prompts).map((ids, n) =>
    typedArray(`generate.prompts[${n}]`, ids, "Int32Array"),
  );
  const starts = new Int32Array(checked.length + 1);
  for (const [n, prompt] of checked.entries()) starts[n + 1] = (starts[n] as number) + prompt.length;
  const ids = new Int32Array(starts.at(-1) as number);
  for (const [n, prompt] of checked.entries()) ids.set(prompt, starts[n]);
  return { ids, starts };
}

// Generation as an async iterable over the binding's callback.
import {
  AbortError,
  type GenerateOptions,
  generationConfigSchema,
  parseArgument,
  rolloutConfigSchema,
  type TokenEvent,
} from "@tunesmith/core";
import { type Native, native } from "./binding.ts";
import { array, object, refuse, typedArray } from "./check.ts";

const optionsSchema = generationConfigSchema.extend(rolloutConfigSchema.shape);

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
  const { signal, prompts, stopWhen, ...given } = object("generate.options", options);
  const { ids, starts } = joined(prompts);
  const { stopTokenIds, maxNumSeqs, ...others } = parseArgument(optionsSchema, given, "generate");
  const wanted = {
    ...others,
    stopTokenIds: stopTokenIds ?? [...eosTokenIds],
    ...(maxNumSeqs !== null && { maxNumSeqs }),
  };
  if (stopWhen !== undefined && typeof stopWhen !== "function") refuse("generate.stopWhen", "a function", stopWhen);
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    refuse("generate.signal", "an AbortSignal", signal);
  if (signal?.aborted) throw aborted(signal);
  const arrived = new Arrivals();
  const ended = new Samples();
  const cancellation = native((library) => new library.Cancellation());
  const abort = () => {
    cancellation.cancel();
    arrived.fail(aborted(signal));
  };
  signal?.addEventListener("abort", abort, { once: true });
  try {
    call(() => session.generate(ids, starts, wanted, arrived.add, cancellation)).then(arrived.end, arrived.fail);
    for (let tokens = await arrived.next(); tokens !== null; tokens = await arrived.next()) {
      for (const event of events(tokens, others.logProbs)) {
        if (ended.has(event)) continue;
        if (stopWhen?.(event) === true) {
          event.finishReason = "stop";
          ended.add(event);
          cancellation.endSample(event.index, event.sample);
        }
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

/** Integers of a token, as the binding lays them: index, sample, token, finish reason and the bits of the log-probability. */
const width = 5;

function* events(tokens: Int32Array, logProbs: boolean): Generator<TokenEvent> {
  const floats = new Float32Array(tokens.buffer, tokens.byteOffset, tokens.length);
  for (let place = 0; place < tokens.length; place += width) {
    const [index, sample, tokenId, finish] = tokens.subarray(place, place + width) as unknown as Four;
    const logProb = logProbs ? (floats[place + 4] as number) : null;
    yield { index, sample, tokenId, logProb, finishReason: finishReasons[finish] ?? null };
  }
}

type Four = [number, number, number, number];

/** Samples that have been ended before the engine ends them. */
class Samples {
  readonly #numbers = new Map<number, Set<number>>();

  add({ index, sample }: TokenEvent): void {
    const numbers = this.#numbers.get(index) ?? new Set();
    this.#numbers.set(index, numbers.add(sample));
  }

  has({ index, sample }: TokenEvent): boolean {
    return this.#numbers.get(index)?.has(sample) === true;
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

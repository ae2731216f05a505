// Who writes the texts: a function, a Tunesmith model, or an endpoint in OpenAI's form.
import {
  ArgumentError,
  CallbackError,
  type EndpointOptions,
  OptionError,
  type ParsedSelfInstructConfig,
  TunesmithError,
} from "@tunesmith/core";
import type { SelfInstructStep } from "../filters.ts";
import { endpointGenerator } from "./endpoint-generator.ts";
import { modelGenerator, type TextModel } from "./model-generator.ts";

/** How a batch of prompts is to be continued. */
export interface GenerateTextOptions {
  /** 0 is greedy. */
  temperature: number;
  topP: number;
  presencePenalty: number;
  /** Tokens of a continuation at most. */
  maxTokens: number;
  /** Texts that end a continuation and are not part of it. */
  stop: readonly string[];
  /** Of this batch: the same in every run of the same seed. */
  seed: number;
  /** What the batch is for. */
  step: SelfInstructStep;
  /** Ends the work. Default: none. */
  signal?: AbortSignal;
}

/** A continuation; `length`: it was cut at `maxTokens`, which matters to some filters. */
export type GeneratedText = string | { text: string; finishReason?: "stop" | "length" };

/** Continues prompts: one text for each, in their order. */
export type GenerateFunction = (
  prompts: readonly string[],
  options: GenerateTextOptions,
) => readonly GeneratedText[] | Promise<readonly GeneratedText[]>;

/** Who writes the texts. */
export type TextGenerator = GenerateFunction | TextModel | EndpointOptions;

/** A continuation as the steps read it. */
export interface Reply {
  text: string;
  isCut: boolean;
}

/** A generator that is ready. */
export interface OpenGenerator {
  /** What a run that goes on must share of it. */
  identity: Readonly<Record<string, unknown>>;
  generate: GenerateFunction;
  close(): Promise<void>;
}

type Settings = Pick<ParsedSelfInstructConfig, "prompting" | "repetitionPenalty" | "presencePenalty">;

/** Opens a generator; weights are read with its first batch. Options that it does not have are an `OptionError`. */
export function openGenerator(generator: TextGenerator, settings: Settings): OpenGenerator {
  const isModel = typeof generator === "object" && generator !== null && "createGenerator" in generator;
  if (settings.repetitionPenalty !== null && !isModel)
    throw new OptionError(
      "[repetitionPenalty] expected a Tunesmith model, got another generator; leave it out, or give presencePenalty",
    );
  if (isModel) {
    if (settings.presencePenalty !== null && settings.presencePenalty !== 0)
      throw new OptionError(
        `[presencePenalty] expected none, since a Tunesmith model has none, got ${settings.presencePenalty}; give repetitionPenalty`,
      );
    return modelGenerator(generator, settings);
  }
  if (typeof generator === "function") {
    if (settings.prompting !== null)
      throw new OptionError(
        "[prompting] expected a model or an endpoint, got a function, which decides it; leave it out",
      );
    const identity = { type: "function" };
    return { identity, generate: generator, close: async () => {} };
  }
  if (typeof generator === "object" && generator !== null && "baseUrl" in generator)
    return endpointGenerator(generator, settings);
  throw new ArgumentError(
    "[selfInstruct.generate] expected a function, a model, or { baseUrl, model } of an endpoint, got something else; give one of these",
  );
}

/** Asks a generator, and checks what it gives; what a function throws is a `CallbackError`. */
export async function replies(
  generate: GenerateFunction,
  prompts: readonly string[],
  options: GenerateTextOptions,
): Promise<Reply[]> {
  let given: unknown;
  try {
    given = await generate(prompts, options);
  } catch (cause) {
    if (options.signal?.aborted || TunesmithError.isInstance(cause)) throw cause;
    throw new CallbackError(
      `[selfInstruct.generate] expected ${prompts.length} texts, got ${String(cause)}; what is there is kept: run it again to go on`,
      { cause },
    );
  }
  if (!Array.isArray(given) || given.length !== prompts.length)
    throw new ArgumentError(
      `[selfInstruct.generate] expected one text for each of ${prompts.length} prompts, got ${Array.isArray(given) ? given.length : typeof given}; correct the function`,
    );
  return given.map(replyOf);
}

function replyOf(given: unknown, n: number): Reply {
  const { text, finishReason = "stop" } =
    typeof given === "string" ? { text: given } : ((given ?? {}) as { text?: unknown; finishReason?: unknown });
  if (typeof text !== "string" || (finishReason !== "stop" && finishReason !== "length"))
    throw new ArgumentError(
      `[selfInstruct.generate] expected a text or { text, finishReason: "stop" | "length" } for prompt ${n}, got ${(JSON.stringify(given) ?? "nothing").slice(0, 80)}; correct the function`,
    );
  return { text, isCut: finishReason === "length" };
}

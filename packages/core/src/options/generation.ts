// Options of a generation.
import * as z from "zod";
import { count, grouped } from "./declare.ts";

/** Counts and ids are 32-bit integers. */
const most = 2 ** 31 - 1;

/** How text is written (names and order of application of Hugging Face's GenerationConfig). */
export const generationConfigSchema = z
  .strictObject(
    grouped("generation", {
      maxNewTokens: count.max(most).default(256).describe("Tokens to write at most. Default 256."),
      temperature: z
        .number()
        .nonnegative()
        .default(0)
        .describe("0 is greedy: the likeliest token, the lowest id on a tie. Default 0."),
      topK: z
        .int()
        .nonnegative()
        .max(most)
        .default(0)
        .describe("Sample from the k likeliest tokens; 0 is all of them. Default 0."),
      topP: z
        .number()
        .positive()
        .max(1)
        .default(1)
        .describe("Sample from the likeliest tokens of this total probability. Default 1 (GenerationConfig)."),
      minP: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe("Drop tokens less likely than this times the likeliest. Default 0."),
      repetitionPenalty: z
        .number()
        .positive()
        .default(1)
        .describe(
          "Divides positive and multiplies negative logits of tokens that are there already; above 1 avoids them. Default 1 (GenerationConfig).",
        ),
      seed: z
        .int()
        .nonnegative()
        .default(0)
        .describe("Seed of sampling: same seed, same prompts, same text, whatever the batch. Default 0."),
      stopTokenIds: z
        .array(z.int().nonnegative().max(most))
        .nullable()
        .default(null)
        .describe("Tokens that end the text. Default: the model's (eos_token_id)."),
    }),
  )
  .meta({
    title: "GenerationConfig",
    description: "How text is written (names and order of application of Hugging Face's GenerationConfig).",
  });

/** Options with their defaults. */
export type ParsedGenerationConfig = z.output<typeof generationConfigSchema>;

/** How many answers are written, and how many at a time. */
export const rolloutConfigSchema = z
  .strictObject(
    grouped("generation", {
      numReturnSequences: count
        .max(most)
        .default(1)
        .describe("Answers to each prompt; the first is what one alone would be. Default 1 (GenerationConfig)."),
      logProbs: z
        .boolean()
        .default(false)
        .describe(
          "Keep the log-probability of every token, in nats, at the sampling temperature (1 where that is 0) and before topK, topP, minP and repetitionPenalty. Default false.",
        ),
      maxNumSeqs: count
        .max(most)
        .nullable()
        .default(null)
        .describe(
          "Answers written at a time (vLLM's max_num_seqs); the next one starts where one ends. Default 32, or as many as 1 GiB holds the keys and values of.",
        ),
    }),
  )
  .meta({
    title: "RolloutConfig",
    description: "How many answers are written, and how many at a time.",
  });

/** The same where the tokenizer is known. */
export const batchGenerationConfigSchema = rolloutConfigSchema
  .extend(
    grouped("generation", {
      stopStrings: z
        .array(z.string().min(1))
        .nullable()
        .default(null)
        .describe(
          "Texts that end an answer, which holds what stands before the first of them. Default null: none (GenerationConfig).",
        ),
    }),
  )
  .meta({
    title: "BatchGenerationConfig",
    description: "How many answers are written, how many at a time, and what ends them.",
  });

/** Options with their defaults. */
export type ParsedBatchGenerationConfig = z.output<typeof batchGenerationConfigSchema>;

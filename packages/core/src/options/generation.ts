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

// Options of Self-Instruct.
import * as z from "zod";
import { count, grouped } from "./declare.ts";

/** The filters of Self-Instruct, in their order: those of instructions, of instances, of rows. */
export const selfInstructFilters = [
  "cut-reply",
  "too-short",
  "too-long",
  "blocklist",
  "write-a-program",
  "leading-punctuation",
  "leading-non-ascii",
  "similar",
  "cut-example",
  "same-as-input",
  "empty-output",
  "ends-with-colon",
  "conflicting-outputs",
  "duplicate-instance",
  "instances-per-task",
  "duplicate-row",
] as const;

/** Name of a filter of Self-Instruct. */
export type SelfInstructFilter = (typeof selfInstructFilters)[number];

/** Words of instructions that a language model cannot follow, since they are about more than text. */
const blocklist = [
  "image",
  "images",
  "graph",
  "graphs",
  "picture",
  "pictures",
  "file",
  "files",
  "map",
  "maps",
  "draw",
  "plot",
  "go to",
];

const share = z.number().min(0).max(1);

/** How rows are made of seed tasks (defaults and names of filters as the code of Self-Instruct has them). */
export const selfInstructConfigSchema = z
  .strictObject(
    grouped("synthesis", {
      numInstructions: count
        .default(100)
        .describe("Instructions to generate, those of the seeds not counted. Default 100."),
      seed: z
        .int()
        .nonnegative()
        .default(42)
        .describe("Seed of all that is drawn: examples, templates, order, sampling. Default 42."),
      requestsPerBatch: count
        .default(5)
        .describe("Prompts that are answered together; each batch knows what the ones before it kept. Default 5."),
      numSeedExamples: count
        .default(6)
        .describe(
          "Instructions of the seeds in a prompt for more; while there are too few generated ones, more. Default 6.",
        ),
      numGeneratedExamples: z
        .int()
        .nonnegative()
        .default(2)
        .describe("Instructions generated before in a prompt for more. Default 2."),
      maxRequests: count
        .nullable()
        .default(null)
        .describe("Requests for instructions at most, however few were kept. Default: no limit."),
      maxIdleRequests: count
        .default(200)
        .describe(
          "Requests for instructions in a row that yield none, after which it goes on with what is there. Default 200.",
        ),
      temperature: z
        .number()
        .nonnegative()
        .default(0.7)
        .describe("Temperature of instructions; classification and instances are greedy. Default 0.7."),
      topP: z.number().positive().max(1).default(0.5).describe("Nucleus of instructions. Default 0.5."),
      presencePenalty: z
        .number()
        .min(-2)
        .max(2)
        .nullable()
        .default(null)
        .describe(
          "Lowers the logits of tokens that are written already, at an endpoint or by a function. Default: 2 for instructions and 1.5 for instances; 0 for a Tunesmith model, which has no such penalty.",
        ),
      repetitionPenalty: z
        .number()
        .positive()
        .nullable()
        .default(null)
        .describe("Of a Tunesmith model, in place of the presence penalty: as in GenerationConfig. Default: 1.1."),
      maxInstructionTokens: count.default(1024).describe("Tokens of a reply with instructions. Default 1024."),
      maxInstanceTokens: count
        .nullable()
        .default(null)
        .describe("Tokens of a reply with instances. Default: 300 for classification, 350 for other tasks."),
      prompting: z
        .enum(["completion", "chat"])
        .nullable()
        .default(null)
        .describe(
          "How a model or endpoint is asked: `completion` continues the text, `chat` answers it as a user's turn. Default: `completion` for a model, `chat` for an endpoint.",
        ),
      maxSimilarity: share
        .default(0.7)
        .describe("ROUGE-L F-measure with any instruction of the pool above which a new one is dropped. Default 0.7."),
      maxInstancesPerTask: count.default(5).describe("Instances of a task at most. Default 5."),
      blocklist: z
        .array(z.string().min(1))
        .default(blocklist)
        .describe(
          "Words and phrases of instructions that are dropped, in any case. Default: of images, files, maps and the like.",
        ),
      withoutFilters: z
        .array(z.enum([...selfInstructFilters, "all"]))
        .default([])
        .describe("Filters that drop nothing. Default: none of them."),
      includeSeeds: z.boolean().default(true).describe("Whether the seeds' instances become rows too. Default true."),
    }),
  )
  .meta({
    title: "SelfInstructConfig",
    description: "How rows are made of seed tasks (defaults as in the code of Self-Instruct, where it has the option).",
  });

/** Options with their defaults. */
export type ParsedSelfInstructConfig = z.output<typeof selfInstructConfigSchema>;

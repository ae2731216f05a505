// Options of an evaluation by itself.
import * as z from "zod";
import { count, grouped } from "./declare.ts";
import { sftConfigSchema } from "./sft.ts";

/** What is measured of a model on held-out rows, and how sure the numbers are. */
export const evaluationConfigSchema = z
  .strictObject(
    grouped("evaluation", {
      groupBy: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe("Column of the rows by whose values there is a table each. Default null: none."),
      generateAnswers: z
        .boolean()
        .default(true)
        .describe(
          "Whether the model answers the prompts of the rows. Without answers there is no exactMatch, no rougeL and no metric of one's own. Default true.",
        ),
      confidence: z
        .number()
        .gt(0)
        .lt(1)
        .default(0.95)
        .describe("Share of the resamples that an interval covers. Default 0.95."),
      resamples: count
        .max(1_000_000)
        .default(1000)
        .describe(
          "Sets of rows that are drawn for an interval (paired bootstrap). Default 1000 (Koehn 2004 takes as many).",
        ),
    }),
  )
  .meta({
    title: "EvaluationConfig",
    description: "What is measured of a model on held-out rows, and how sure the numbers are.",
  });

/** Options with their defaults. */
export type ParsedEvaluationConfig = z.output<typeof evaluationConfigSchema>;

/** Of the options of a run those that say how rows are read and what of them counts. */
export const readingOptionsSchema = sftConfigSchema
  .pick({
    maxLength: true,
    truncationMode: true,
    maxPromptLength: true,
    maxCompletionLength: true,
    maxRowBytes: true,
    datasetFormat: true,
    columns: true,
    datasetTextField: true,
    onBadRow: true,
    assistantOnlyLoss: true,
    trainOnResponsesOnly: true,
    lastResponseOnly: true,
    trainOnToolCalls: true,
    trainOnReasoning: true,
    completionOnlyLoss: true,
    promptLossWeight: true,
    sanitizeControlTokens: true,
    tokenBudget: true,
  })
  .meta({ title: "ReadingOptions", description: "How rows are read, and what of them counts." });

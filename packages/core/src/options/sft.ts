// Options of supervised fine-tuning.
import * as z from "zod";
import { datasetFormats } from "./dataset-formats.ts";
import { count, grouped, noneIsDefault } from "./declare.ts";
import { missingSft, takenSft } from "./field/sft.ts";
import { presetNames } from "./presets.ts";
import { trainingArgumentsSchema } from "./training-arguments.ts";

/** Bytes that a row may have where no option says otherwise: 1 MiB. */
export const defaultMaxRowBytes = 1 << 20;

/** V8 holds no longer text: 2^29 - 24 characters. */
const maxRowBytesLimit = 2 ** 29 - 24;

/** Options of supervised fine-tuning (names of TRL's SFTConfig): those of every run, and how rows become supervised tokens. */
export const sftConfigSchema = trainingArgumentsSchema
  .extend({
    ...grouped("run", {
      preset: z
        .enum(presetNames)
        .nullable()
        .default(null)
        .describe(
          "Recipe whose values hold for all options that are not given: instructGptSft, unslothNotebook, trlSft or qlora8b (docs/recipes.md). Default null: none.",
        ),
    }),
    ...grouped("data", {
      auto: z
        .boolean()
        .default(false)
        .describe(
          "Takes what recommendTraining says for numTrainEpochs, maxLength, perDeviceTrainBatchSize, gradientAccumulationSteps and learningRate where they are not set; reads the rows once more. Default false (a run should do what its options say).",
        )
        .meta({ influence: "nothing" }),
      maxLength: count
        .nullable()
        .default(1024)
        .describe("Tokens that a row may have, and tokens of a packed row; null: any number. Default 1024 (TRL)."),
      truncationMode: z
        .enum(["keep_start", "keep_end", "drop", "error"])
        .default("keep_start")
        .describe(
          "What is done with a row of more than maxLength tokens: its start or its end is kept, it is left out, or it is an error. Default keep_start (TRL).",
        ),
      shuffleDataset: z
        .boolean()
        .default(false)
        .describe(
          "trainSamplingStrategy sequential: rows come in one random order by the seed, the same in every epoch; other orders are random anyway. Default false (TRL).",
        ),
      maxPromptLength: count
        .nullable()
        .default(null)
        .describe(
          "Tokens that the prompt of a row may have, all before the first that is trained; rows with a longer one are left out and counted. Plain text has none. Default null: any number (TRL's DPOConfig cuts at 512; InstructGPT leaves out prompts over 1k).",
        ),
      maxCompletionLength: count
        .nullable()
        .default(null)
        .describe(
          "Tokens from the first that is trained on that a row may have, likewise. Plain text is not looked at. Default null: any number.",
        ),
      packing: z
        .boolean()
        .default(false)
        .describe(
          "Rows are packed into rows of maxLength tokens, so that a step sees more of them. No token sees another row. Default false (TRL).",
        ),
      packingStrategy: z
        .enum(["bfd", "bfd_split", "wrapped", "best_fit"])
        .default("bfd")
        .describe(
          "bfd: best fit decreasing within 1,000 rows, rows are cut at maxLength; bfd_split: longer rows go on in others; wrapped: end to end, cut wherever maxLength falls; best_fit: bfd over the whole set. Default bfd (TRL, which has the first three).",
        ),
      evalPacking: z
        .boolean()
        .nullable()
        .default(null)
        .describe("Whether the evaluation set is packed too. Default null: as packing says (TRL)."),
      maxRowBytes: count
        .max(maxRowBytesLimit)
        .default(defaultMaxRowBytes)
        .describe(
          `Bytes that a row may have as JSON; a larger one is refused with its line and size. Preparing takes up to 256 times the largest row of memory. Default ${defaultMaxRowBytes} (1 MiB).`,
        )
        .meta({ influence: "nothing" }),
      datasetFormat: z
        .enum(["auto", ...datasetFormats])
        .default("auto")
        .describe(
          "Format of the rows. Default auto: by the columns of the first row; one of another format is an error.",
        ),
      columns: z
        .record(z.string().min(1), z.string().min(1))
        .nullable()
        .default(null)
        .describe(
          'Columns of the rows by the names that formats have for them, such as { prompt: "question", completion: "answer" }. Default: the same names.',
        ),
      datasetTextField: z.string().min(1).default("text").describe("Column of plain text rows. Default text (TRL)."),
      loadFromCacheFile: z
        .boolean()
        .default(true)
        .describe(
          "Files of 4 MiB or more are prepared once and kept in HF_DATASETS_CACHE; a run with the same rows, tokenizer, template and options takes them from there. What difficulty measures before the first step is kept there too, for the same model and rows. Default true (datasets).",
        )
        .meta({ influence: "nothing" }),
      streaming: z
        .boolean()
        .default(false)
        .describe(
          "Rows are read while they are trained on, so that the first step does not wait for the last row; always so for iterables, streams and functions. Needs maxSteps. Default false (datasets' load_dataset).",
        ),
      bufferSize: count
        .default(1000)
        .describe(
          "streaming: rows that are held, of which each next one is drawn at random. Default 1000 (datasets' IterableDataset.shuffle).",
        ),
      onBadRow: z
        .enum(["error", "skip"])
        .default("error")
        .describe(
          "A row that cannot be used ends the run, or is left out and counted in the report. Default error (a run should train on all it was given).",
        ),
      testSize: z
        .number()
        .positive()
        .refine((size) => size < 1 || Number.isSafeInteger(size), "a share below 1, or a whole number of rows")
        .nullable()
        .default(null)
        .describe(
          "Rows of the training set that are held out to evaluate with: a share below 1, or how many (datasets' train_test_split). Default null: none.",
        ),
      splitBy: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "Column whose equal values stay together where testSize splits, so that no user or document is on both sides. Default null: rows are split one by one.",
        ),
      splitStrategy: z
        .enum(["random", "hash"])
        .default("random")
        .describe(
          "How testSize chooses: random, exactly as many rows as asked for, by the seed; hash, each row or group by its content and the seed, so that it stays on its side when rows are added, and equal rows are never on both. Default random (datasets).",
        ),
      assistantOnlyLoss: z
        .boolean()
        .default(true)
        .describe(
          "Conversations: train on the assistant's turns only. Default true; TRL's is false, but training on the user's words is rarely meant.",
        ),
      trainOnResponsesOnly: z
        .boolean()
        .default(false)
        .describe(
          "Train on answers only, whatever the rows are: those that do not say which part is the answer, such as plain text, are refused. Default false: they are trained whole (Unsloth's train_on_responses_only).",
        ),
      lastResponseOnly: z
        .boolean()
        .default(false)
        .describe(
          "Conversations: train on the last turn of the assistant only; the turns before it are context. Default false (Unsloth).",
        ),
      trainOnToolCalls: z
        .boolean()
        .default(true)
        .describe(
          "Conversations: train on the tool calls of trained turns. false: they are context, with what the chat template writes around them; the rest of the turn and its end are trained. Default true (TRL trains whole turns).",
        ),
      trainOnReasoning: z
        .boolean()
        .default(true)
        .describe(
          "Conversations: train on the reasoning of trained turns (reasoning_content, thinking, or <think> in a content). false: it is context, with its tags. Default true (TRL trains whole turns).",
        ),
      instructionPart: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "What the chat template writes before a user's turn, to be checked against it; labels come from the template itself. Default null: not checked (Unsloth).",
        ),
      responsePart: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe("What the chat template writes before an answer, likewise. Default null: not checked (Unsloth)."),
      completionOnlyLoss: z
        .boolean()
        .nullable()
        .default(null)
        .describe("Prompt-completion rows: train on the completion only. Default: true for such rows (TRL)."),
      promptLossWeight: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "Loss weight of the tokens that are not trained otherwise: the prompt, and what the assistant did not write. The loss is divided by the sum of all weights. Default 0: they are context only (TRL).",
        ),
      sanitizeControlTokens: z
        .boolean()
        .default(false)
        .describe(
          "Conversations: control tokens in the texts of rows are encoded as text, so that only the chat template writes them as tokens: special tokens, and other added tokens that the template writes. Default false (transformers' apply_chat_template).",
        ),
    }),
    ...grouped("optimizer", {
      lossType: z
        .enum(["nll", "chunked_nll", "dft"])
        .default("nll")
        .describe(
          "What is minimised, in training and in eval_loss: nll, the mean of -log p of the supervised tokens; dft, that times p taken as a constant, so that tokens which are unlikely anyway count less (arXiv:2508.05629); chunked_nll is nll. Default nll (TRL).",
        ),
      labelSmoothingFactor: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe(
          "Share of the loss that goes to the mean of -log p over the whole vocabulary, in training and in eval_loss (arXiv:1512.00567); none with lossType dft. Default 0 (TrainingArguments).",
        )
        .meta(noneIsDefault),
      zLossMultiplier: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "Factor of (log Σ exp logits)² in the loss of each token, which keeps logits from growing (arXiv:2204.02311); in training only, none with lossType dft. The paper takes 1e-4. Default 0 (z_loss_multiplier of OLMo-core and MaxText).",
        ),
    }),
    ...grouped("taken", { ...takenSft, ...missingSft }),
  })
  .meta({
    title: "SFTConfig",
    description: "Options of supervised fine-tuning (names of TRL's SFTConfig in camelCase).",
  });

/** Options with their plain defaults. */
export type ParsedSFTConfig = z.output<typeof sftConfigSchema>;

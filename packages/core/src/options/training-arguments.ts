// Options that all trainers share.
import * as z from "zod";
import { count, grouped, noneIsDefault, path } from "./declare.ts";
import { missingArguments, takenArguments } from "./field/training-arguments.ts";
import { optimizerNameList } from "./optimizer-names.ts";
import { schedulerTypes } from "./scheduler.ts";

/** A stage of a curriculum, as far as a file can hold it. */
const stageSchema = z.strictObject({
  maxLength: count.optional(),
  minTurns: count.optional(),
  epochs: z.number().positive().optional(),
  steps: count.optional(),
  hardShare: z.number().min(0).lt(1).optional(),
  order: z.enum(["random", "easy_first"]).optional(),
});

/** Tensors that learn at a rate of their own, as far as an option names them. */
const lrGroupSchema = z.strictObject({
  pattern: z.string().min(1),
  learningRate: z.number().nonnegative().optional(),
  weightDecay: z.number().nonnegative().optional(),
  name: z.string().min(1).optional(),
});

/** What metrics can be reported to. */
const reports = ["none", "tensorboard"] as const;

/**
 * Options of any training run (names of Hugging Face's TrainingArguments in camelCase; defaults are theirs unless the description says
 * otherwise). A trainer's own schema extends this one.
 */
export const trainingArgumentsSchema = z
  .strictObject({
    ...grouped("run", {
      outputDir: path
        .nullable()
        .default(null)
        .describe("Run folder, exactly as given. Default: runs/NAME-yyyymmdd-hhmmss."),
      runName: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe("Name of the run in the default run folder. Default: the model's name."),
      seed: z
        .int()
        .nonnegative()
        .default(3407)
        .describe("Seed of the order of rows, the adapter's start and every random number. Default 3407 (Unsloth).")
        .meta({ influence: "numbers" }),
      useCpu: z
        .boolean()
        .default(false)
        .describe(
          'Train on the CPU, whatever else there is: a model that was opened on another device is refused, tunesmith train, dpo and sft open it with device "cpu". Default false (TrainingArguments).',
        ),
      loggingSteps: count
        .default(1)
        .describe("Steps between two log lines. Default 1 (Unsloth; TrainingArguments has 500)."),
      loggingStrategy: z
        .enum(["no", "steps", "epoch"])
        .default("steps")
        .describe(
          "When log lines are written: never, every loggingSteps and after the last step, or after each epoch. Default steps (TrainingArguments).",
        ),
      reportTo: z
        .union([z.enum(reports), z.array(z.enum(reports))])
        .default("none")
        .describe(
          "Where metrics go besides metrics.jsonl of the run folder: tensorboard, a file of events in TENSORBOARD_LOGGING_DIR or in the folder runs of the run, with transformers' tags (train/loss, eval/loss). Other services are not yet there. Default none (TrainingArguments).",
        )
        .meta({
          ...noneIsDefault,
          advice: "not yet: other services; metrics.jsonl of the run folder holds every number",
        }),
      loggingFirstStep: z
        .boolean()
        .default(false)
        .describe("Log the first step as well. Default false (TrainingArguments)."),
      onHealth: z
        .enum(["warn", "stop"])
        .default("warn")
        .describe(
          "What to do when a rule of the run's health finds something (docs/health.md): tell it once and go on, or save a checkpoint and end with a HealthError; the same run, resumed, goes on past it. Default warn.",
        ),
      hookTimeout: z
        .number()
        .positive()
        .max(2_000_000)
        .nullable()
        .default(null)
        .describe(
          "Seconds within which the promise of a callback, a metric of the program, an lrScheduler or a computeLossFunc must settle; else the run is saved and ends with an error that names it. Answers that a metric generates do not count. Default null: it may take its time.",
        )
        .meta({ influence: "nothing" }),
    }),
    ...grouped("data", {
      perDeviceTrainBatchSize: count.default(8).describe("Rows of a micro-batch. Default 8 (TrainingArguments)."),
      autoFindBatchSize: z
        .boolean()
        .default(false)
        .describe(
          "Where a run would not fit the memory that is free, tokenBudget is halved until it does, down to 32: micro-batches are computed in more passes, and steps stay what they are; decided once and kept when it is resumed. Default false (TrainingArguments, which halves perDeviceTrainBatchSize and so changes what is trained).",
        )
        .meta({ influence: "nothing" }),
      dataSeed: z
        .int()
        .nonnegative()
        .nullable()
        .default(null)
        .describe("Seed of the order of rows alone. Default null: seed (TrainingArguments)."),
      dataloaderDropLast: z
        .boolean()
        .default(false)
        .describe(
          "Leave the last micro-batch of an epoch out where it has fewer rows than the others, in training and evaluation. Default false (TrainingArguments).",
        ),
      chatTemplatePath: path
        .nullable()
        .default(null)
        .describe(
          "Chat template of the run, saved with what is trained: a Jinja file, or the folder, GGUF file or hub model of a tokenizer, whose end of sequence is taken as well. Default null: the model's own, or the chatTemplate that it was opened with (TRL, which can add the other tokenizer's tokens; here a template whose tokens the vocabulary lacks is refused).",
        ),
      eosToken: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "Token of the vocabulary that ends a sequence: texts and completions end with it, it ends an answer beside those that do already, and it is saved with what is trained. Default null: the tokenizer's own (TRL).",
        ),
      ignoreDataSkip: z
        .boolean()
        .default(false)
        .describe(
          "A resumed run begins with the first rows of the epoch that it was in, and not where it was; it is then not the run that was never stopped. Default false (TrainingArguments).",
        )
        .meta({ influence: "nothing" }),
      maxTokensPerBatch: count
        .nullable()
        .default(null)
        .describe(
          "Tokens of a micro-batch, in place of perDeviceTrainBatchSize: rows are taken in their order as long as they fit, a longer one alone. Steps then have about as many tokens each, and not as many rows. Default null: by rows (max_tokens of fairseq).",
        ),
      gradientAccumulationSteps: count
        .default(1)
        .describe("Micro-batches of an optimizer step. Default 1 (TrainingArguments)."),
      numTrainEpochs: z
        .number()
        .positive()
        .default(3)
        .describe("Passes over the data; 0.5 is half a pass. Default 3 (TrainingArguments).")
        .meta({ influence: "length" }),
      maxSteps: z
        .int()
        .min(-1)
        .default(-1)
        .describe("Optimizer steps; wins over numTrainEpochs when positive. Default -1 (TrainingArguments).")
        .meta({ influence: "length" }),
      trainSamplingStrategy: z
        .enum(["random", "sequential", "group_by_length", "staged", "competence"])
        .default("random")
        .describe(
          "Order of the rows; group_by_length puts rows of like length into one batch, staged takes the short ones first, then everything, competence draws from ever more of them, the easiest first. Default random (TrainingArguments).",
        ),
      simpleMaxLength: count
        .default(256)
        .describe(
          "staged without stages: rows of at most this many tokens make the first epoch. Default 256 (a filter length common in curriculum recipes).",
        ),
      stages: z
        .array(stageSchema)
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "staged: the stages, one after another; a where needs a program (stagedSampler). A row belongs to one that has at most its maxLength tokens and at least its minTurns messages; its length is epochs (passes over its rows, 1 where nothing is said) or steps, and the last goes on as long as the run does. Default null: rows of at most simpleMaxLength tokens, shortest first; rows of at least 3 messages; everything.",
        ),
      hardShare: z
        .number()
        .min(0)
        .lt(1)
        .default(0)
        .describe(
          "staged: share of hard rows, of the hardest quarter, that is mixed into stages that give none themselves, other than the last of the preset. Default 0.",
        ),
      competenceSteps: count
        .nullable()
        .default(null)
        .describe(
          "competence: optimizer steps until every row may be drawn; the share of the easiest rows that may be grows with the square root of the steps (arXiv:1903.09848). Default null: the steps of one epoch.",
        ),
      initialCompetence: z
        .number()
        .positive()
        .max(1)
        .default(0.01)
        .describe("competence: share of the rows that may be drawn at the first step. Default 0.01 (the paper)."),
      difficulty: z
        .enum(["length", "turns", "loss", "ifd"])
        .default("length")
        .describe(
          "staged, competence: what makes a row hard, its tokens, its messages, or what the model itself finds before the first step: the loss of what is trained of it, or the loss of its answers with their prompts over the loss without (instruction-following difficulty, arXiv:2308.12032). Default length.",
        ),
      difficultySteps: count
        .nullable()
        .default(null)
        .describe(
          "difficulty loss, ifd: optimizer steps between two measurements, each with the weights as they are then; one takes a forward pass of all rows, for ifd two. Default null: only before the first step.",
        ),
      reverseCurriculum: z
        .boolean()
        .default(false)
        .describe(
          "staged, competence: from the last stage to the first, hard rows before easy ones. Default false; which of the two is better depends on model and task (arXiv:2510.19099).",
        ),
    }),
    ...grouped("optimizer", {
      learningRate: z
        .number()
        .nonnegative()
        .nullable()
        .default(null)
        .describe(
          "Peak learning rate. Default 2e-4 for an adapter (Unsloth, QLoRA paper), 2e-5 for full fine-tuning (TRL).",
        ),
      loraplusLrRatio: z
        .number()
        .positive()
        .nullable()
        .default(null)
        .describe(
          "LoRA+ (arXiv:2402.12354): B and one-dimensional tensors of the adapter learn this many times faster. Default null: off; the paper suggests 16.",
        ),
      embeddingLearningRate: z
        .number()
        .nonnegative()
        .nullable()
        .default(null)
        .describe(
          "Peak learning rate of embed_tokens and lm_head in modulesToSave, and of an adapter on embed_tokens. Default null: learningRate (Unsloth's embedding_learning_rate).",
        ),
      lrGroups: z
        .array(lrGroupSchema)
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "Tensors with a peak learning rate and weight decay of their own: each group has a pattern, a regular expression that is looked for in the names of the trained tensors as they are saved, a learningRate, a weightDecay and a name. The first that finds a tensor has it; one that finds none is refused. What a group does not give stays as it is without it. Default null: none (lr_groups of Axolotl).",
        ),
      lrSchedulerType: z
        .enum(schedulerTypes)
        .default("linear")
        .describe("Shape of the learning rate over the run. Default linear (TrainingArguments)."),
      lrSchedulerKwargs: z
        .union([z.string().min(1), z.record(z.string(), z.union([z.number(), z.boolean(), z.string()]))])
        .nullable()
        .default(null)
        .describe(
          "Constants of the schedule, as \"name=value,...\", as a JSON object or by name: transformers' of that type, such as num_cycles, min_lr_rate or num_decay_steps. Default null: transformers' own (TrainingArguments).",
        ),
      schedule: z
        .enum(["fresh", "continue"])
        .default("fresh")
        .describe(
          "How a finished run goes on that is resumed with more maxSteps or numTrainEpochs: fresh begins schedule and warm-up again over the added steps, continue gives each of them the rate it has in a run that was this long from the start (transformers). The optimizer's state stays. Default fresh.",
        )
        .meta({ influence: "nothing" }),
      warmupSteps: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "Steps in which the learning rate rises from 0; below 1 it is a share of all steps. Default 0 (TrainingArguments).",
        ),
      optim: z
        .enum(optimizerNameList)
        .default("adamw_torch")
        .describe(
          "Optimizer, by the names of transformers; docs/optimizers.md says which are here. Default adamw_torch (TrainingArguments takes its fused form).",
        ),
      optimArgs: z
        .union([
          z.string().min(1),
          z.record(z.string(), z.union([z.number(), z.boolean(), z.string(), z.array(z.number())])),
        ])
        .nullable()
        .default(null)
        .describe(
          'Constants of the optimizer, as "name=value,...", as a JSON object or by name, such as momentum, dampening and nesterov of sgd; docs/optimizers.md lists them. Default null: the optimizer\'s own (TrainingArguments).',
        ),
      weightDecay: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "Weight decay, decoupled, but added to the gradient for sgd, rmsprop and adagrad; norms and biases are exempt. Default 0 (TrainingArguments).",
        ),
      adamBeta1: z
        .number()
        .min(0)
        .lt(1)
        .default(0.9)
        .describe("Decay of the first moment of AdamW, and beta1 of Lion. Default 0.9 (TrainingArguments)."),
      adamBeta2: z
        .number()
        .min(0)
        .lt(1)
        .default(0.999)
        .describe("Decay of the second moment of AdamW, and beta2 of Lion. Default 0.999 (TrainingArguments)."),
      adamEpsilon: z.number().positive().default(1e-8).describe("AdamW's epsilon. Default 1e-8 (TrainingArguments)."),
      maxGradNorm: z
        .number()
        .nonnegative()
        .nullable()
        .default(1)
        .describe("Gradients are clipped to this global norm; 0 or null is off. Default 1 (TrainingArguments)."),
      residPdrop: z
        .number()
        .min(0)
        .lt(1)
        .default(0)
        .describe(
          "Residual dropout: share of the elements of what attention and feed-forward blocks add to the residual stream that is zeroed in training passes, the rest scaled up. Masks are those of seed, step, row and position; evaluation and generation drop nothing. InstructGPT's fine-tuning takes 0.2. Default 0 (resid_pdrop of GPT-2's configuration has 0.1, the families here none).",
        ),
      neftuneNoiseAlpha: z
        .number()
        .nonnegative()
        .nullable()
        .default(null)
        .describe(
          "Uniform noise on the embeddings of training passes, at most alpha / √(tokens of the row · hidden size) (arXiv:2310.05914, which takes 5 to 15). The tokens are those of the row itself, where Hugging Face counts the padding of its batch too: there a row's noise is smaller the longer its neighbours are. Default null: none (TrainingArguments).",
        ),
    }),
    ...grouped("evaluation", {
      perDeviceEvalBatchSize: count.default(8).describe("Rows of an evaluation batch. Default 8 (TrainingArguments)."),
      evalStrategy: z
        .enum(["no", "steps", "epoch"])
        .nullable()
        .default(null)
        .describe(
          "When to evaluate. Default: no without an evaluation set, steps where evalSteps is given, else epoch (TrainingArguments has no).",
        ),
      evalSteps: count
        .nullable()
        .default(null)
        .describe("Steps between two evaluations. Default for evalStrategy steps: loggingSteps (TrainingArguments)."),
      evalDelay: z
        .number()
        .nonnegative()
        .default(0)
        .describe(
          "No evaluation before this step, or with evalStrategy epoch before this many epochs. Default 0 (TrainingArguments).",
        ),
      evalOnStart: z
        .boolean()
        .default(false)
        .describe("Evaluate before the first step as well. Default false (TrainingArguments)."),
      metricForBestModel: z
        .string()
        .min(1)
        .default("eval_loss")
        .describe(
          "Metric that decides which evaluation is best, such as eval_loss, or one of the program's metrics; of several evaluation sets with the name of one, such as eval_NAME_loss. Default eval_loss (TrainingArguments uses the loss too).",
        )
        .meta(noneIsDefault),
      greaterIsBetter: z
        .boolean()
        .nullable()
        .default(null)
        .describe(
          "Whether a greater metricForBestModel is better. Default null: as the metric itself says, so a lower loss; of the program's metrics a greater value, unless the name ends with loss (TrainingArguments).",
        ),
      earlyStoppingPatience: count
        .nullable()
        .default(null)
        .describe(
          "Stop after this many evaluations in a row without an improvement; null is off. Default null (EarlyStoppingCallback is opt-in).",
        ),
      earlyStoppingThreshold: z
        .number()
        .nonnegative()
        .default(0)
        .describe("An improvement must be larger than this. Default 0 (EarlyStoppingCallback)."),
    }),
    ...grouped("samples", {
      samplePrompts: z
        .array(z.string().min(1))
        .nullable()
        .default(null)
        .describe("Prompts to answer during training. Default: the first three rows of the evaluation set."),
      sampleOnEval: z
        .boolean()
        .nullable()
        .default(null)
        .describe(
          "Answer the prompts before the first step, at each evaluation and at the end, so that report.html shows the answers side by side. Default null: where samplePrompts or sampleEverySteps is given.",
        ),
      sampleEverySteps: count
        .nullable()
        .default(null)
        .describe("Steps between two further rounds of samples; null is off. Default null."),
      sampleMaxNewTokens: count.default(64).describe("Tokens of a sample at most. Default 64."),
    }),
    ...grouped("saving", {
      saveStrategy: z
        .enum(["steps", "epoch", "end", "no"])
        .default("steps")
        .describe(
          "When to write checkpoints; all but no write one at the end. Whatever it is, loadBestModelAtEnd and earlyStoppingPatience write one for each best evaluation, of which the last stays. Default steps (TrainingArguments).",
        ),
      saveSteps: count.default(500).describe("Steps between two checkpoints. Default 500 (TrainingArguments)."),
      saveTotalLimit: count
        .nullable()
        .default(null)
        .describe(
          "Checkpoints kept, the one of the best evaluation in addition; null keeps all. Default null (TrainingArguments).",
        ),
      saveOnlyModel: z
        .boolean()
        .default(false)
        .describe(
          "Checkpoints without the optimizer's state: smaller, but no run can go on from them. With loadBestModelAtEnd the best one keeps it. Default false (TrainingArguments).",
        ),
      onSaveError: z
        .enum(["stop", "pause", "continue"])
        .default("stop")
        .describe(
          "What to do when a checkpoint or log line cannot be written, such as on a full disk: stop with an error, hold until resume() or SIGCONT and try again, or warn and go on without. The newest good checkpoint is kept. Default stop.",
        ),
      loadBestModelAtEnd: z
        .boolean()
        .default(false)
        .describe("End with the weights of the best evaluation. Default false (TrainingArguments)."),
    }),
    ...grouped("memory", {
      gradientCheckpointing: z
        .union([z.boolean(), z.enum(["auto"])])
        .default(false)
        .describe(
          "Recompute layers in backward to save memory; auto: only where the run would not fit the free memory without, decided once and kept when it is resumed. Default false (TrainingArguments).",
        )
        .meta(noneIsDefault),
      memoryCheck: z
        .enum(["refuse", "warn", "off"])
        .default("refuse")
        .describe(
          "What to do before a run that takes more memory than is free: refuse it with numbers and advice, warn, or do not look. Default refuse.",
        )
        .meta({ influence: "nothing" }),
      // Sums of float32 depend on how rows are joined into passes, in their last bits: it decides numbers.
      tokenBudget: count
        .default(1024)
        .describe(
          "Tokens of one packed pass: the micro-batches of a step are joined up to it. Changes speed and memory, never a metric. Default 1024: on two cores longer passes are no faster, and take about 0.7 MB a token for a model of 135M.",
        ),
    }),
    ...grouped("taken", { ...takenArguments, ...missingArguments }),
  })
  .meta({
    title: "TrainingArguments",
    description: "Options of any training run (names of Hugging Face's TrainingArguments in camelCase).",
  });

/** Options with their plain defaults. */
export type ParsedTrainingArguments = z.output<typeof trainingArgumentsSchema>;

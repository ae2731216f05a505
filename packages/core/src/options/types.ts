// The options of schemas as types; written by `npm run generate`.
import type { SFTConfigNames, TrainingArgumentsNames } from "./field/types.ts";

/** Options of any training run (names of Hugging Face's TrainingArguments in camelCase). */
export interface TrainingArguments extends TrainingArgumentsNames {
  /** Run folder, exactly as given. Default: runs/NAME-yyyymmdd-hhmmss. */
  outputDir?: string | null | undefined;
  /** Name of the run in the default run folder. Default: the model's name. */
  runName?: string | null | undefined;
  /** Seed of the order of rows, the adapter's start and every random number. Default 3407 (Unsloth). */
  seed?: number | undefined;
  /**
   * Train on the CPU, whatever else there is: a model that was opened on another device is refused, tunesmith train,
   * dpo and sft open it with device "cpu". Default false (TrainingArguments).
   */
  useCpu?: boolean | undefined;
  /** Steps between two log lines. Default 1 (Unsloth; TrainingArguments has 500). */
  loggingSteps?: number | undefined;
  /**
   * When log lines are written: never, every loggingSteps and after the last step, or after each epoch. Default steps
   * (TrainingArguments).
   */
  loggingStrategy?: "no" | "steps" | "epoch" | undefined;
  /**
   * Where metrics go besides metrics.jsonl of the run folder: tensorboard, a file of events in TENSORBOARD_LOGGING_DIR
   * or in the folder runs of the run, with transformers' tags (train/loss, eval/loss). Other services are not yet
   * there. Default none (TrainingArguments).
   */
  reportTo?: "none" | "tensorboard" | ("none" | "tensorboard")[] | undefined;
  /** Log the first step as well. Default false (TrainingArguments). */
  loggingFirstStep?: boolean | undefined;
  /**
   * What to do when a rule of the run's health finds something (docs/health.md): tell it once and go on, or save a
   * checkpoint and end with a HealthError; the same run, resumed, goes on past it. Default warn.
   */
  onHealth?: "warn" | "stop" | undefined;
  /**
   * Seconds within which the promise of a callback, a metric of the program, an lrScheduler or a computeLossFunc must
   * settle; else the run is saved and ends with an error that names it. Answers that a metric generates do not count.
   * Default null: it may take its time.
   */
  hookTimeout?: number | null | undefined;
  /** Rows of a micro-batch. Default 8 (TrainingArguments). */
  perDeviceTrainBatchSize?: number | undefined;
  /**
   * Where a run would not fit the memory that is free, tokenBudget is halved until it does, down to 32: micro-batches
   * are computed in more passes, and steps stay what they are; decided once and kept when it is resumed. Default false
   * (TrainingArguments, which halves perDeviceTrainBatchSize and so changes what is trained).
   */
  autoFindBatchSize?: boolean | undefined;
  /** Seed of the order of rows alone. Default null: seed (TrainingArguments). */
  dataSeed?: number | null | undefined;
  /**
   * Leave the last micro-batch of an epoch out where it has fewer rows than the others, in training and evaluation.
   * Default false (TrainingArguments).
   */
  dataloaderDropLast?: boolean | undefined;
  /**
   * Chat template of the run, saved with what is trained: a Jinja file, or the folder, GGUF file or hub model of a
   * tokenizer, whose end of sequence is taken as well. Default null: the model's own, or the chatTemplate that it was
   * opened with (TRL, which can add the other tokenizer's tokens; here a template whose tokens the vocabulary lacks is
   * refused).
   */
  chatTemplatePath?: string | null | undefined;
  /**
   * Token of the vocabulary that ends a sequence: texts and completions end with it, it ends an answer beside those
   * that do already, and it is saved with what is trained. Default null: the tokenizer's own (TRL).
   */
  eosToken?: string | null | undefined;
  /**
   * A resumed run begins with the first rows of the epoch that it was in, and not where it was; it is then not the run
   * that was never stopped. Default false (TrainingArguments).
   */
  ignoreDataSkip?: boolean | undefined;
  /**
   * Tokens of a micro-batch, in place of perDeviceTrainBatchSize: rows are taken in their order as long as they fit, a
   * longer one alone. Steps then have about as many tokens each, and not as many rows. Default null: by rows
   * (max_tokens of fairseq).
   */
  maxTokensPerBatch?: number | null | undefined;
  /** Micro-batches of an optimizer step. Default 1 (TrainingArguments). */
  gradientAccumulationSteps?: number | undefined;
  /** Passes over the data; 0.5 is half a pass. Default 3 (TrainingArguments). */
  numTrainEpochs?: number | undefined;
  /** Optimizer steps; wins over numTrainEpochs when positive. Default -1 (TrainingArguments). */
  maxSteps?: number | undefined;
  /**
   * Order of the rows; group_by_length puts rows of like length into one batch, staged takes the short ones first, then
   * everything, competence draws from ever more of them, the easiest first. Default random (TrainingArguments).
   */
  trainSamplingStrategy?: "random" | "sequential" | "group_by_length" | "staged" | "competence" | undefined;
  /**
   * staged without stages: rows of at most this many tokens make the first epoch. Default 256 (a filter length common
   * in curriculum recipes).
   */
  simpleMaxLength?: number | undefined;
  /**
   * staged: the stages, one after another; a where needs a program (stagedSampler). A row belongs to one that has at
   * most its maxLength tokens and at least its minTurns messages; its length is epochs (passes over its rows, 1 where
   * nothing is said) or steps, and the last goes on as long as the run does. Default null: rows of at most
   * simpleMaxLength tokens, shortest first; rows of at least 3 messages; everything.
   */
  stages?:
    | {
        maxLength?: number | undefined;
        minTurns?: number | undefined;
        epochs?: number | undefined;
        steps?: number | undefined;
        hardShare?: number | undefined;
        order?: "random" | "easy_first" | undefined;
      }[]
    | null
    | undefined;
  /**
   * staged: share of hard rows, of the hardest quarter, that is mixed into stages that give none themselves, other than
   * the last of the preset. Default 0.
   */
  hardShare?: number | undefined;
  /**
   * competence: optimizer steps until every row may be drawn; the share of the easiest rows that may be grows with the
   * square root of the steps (arXiv:1903.09848). Default null: the steps of one epoch.
   */
  competenceSteps?: number | null | undefined;
  /** competence: share of the rows that may be drawn at the first step. Default 0.01 (the paper). */
  initialCompetence?: number | undefined;
  /**
   * staged, competence: what makes a row hard, its tokens, its messages, or what the model itself finds before the
   * first step: the loss of what is trained of it, or the loss of its answers with their prompts over the loss without
   * (instruction-following difficulty, arXiv:2308.12032). Default length.
   */
  difficulty?: "length" | "turns" | "loss" | "ifd" | undefined;
  /**
   * difficulty loss, ifd: optimizer steps between two measurements, each with the weights as they are then; one takes a
   * forward pass of all rows, for ifd two. Default null: only before the first step.
   */
  difficultySteps?: number | null | undefined;
  /**
   * staged, competence: from the last stage to the first, hard rows before easy ones. Default false; which of the two
   * is better depends on model and task (arXiv:2510.19099).
   */
  reverseCurriculum?: boolean | undefined;
  /** Peak learning rate. Default 2e-4 for an adapter (Unsloth, QLoRA paper), 2e-5 for full fine-tuning (TRL). */
  learningRate?: number | null | undefined;
  /**
   * LoRA+ (arXiv:2402.12354): B and one-dimensional tensors of the adapter learn this many times faster. Default null:
   * off; the paper suggests 16.
   */
  loraplusLrRatio?: number | null | undefined;
  /**
   * Peak learning rate of embed_tokens and lm_head in modulesToSave, and of an adapter on embed_tokens. Default null:
   * learningRate (Unsloth's embedding_learning_rate).
   */
  embeddingLearningRate?: number | null | undefined;
  /**
   * Tensors with a peak learning rate and weight decay of their own: each group has a pattern, a regular expression
   * that is looked for in the names of the trained tensors as they are saved, a learningRate, a weightDecay and a name.
   * The first that finds a tensor has it; one that finds none is refused. What a group does not give stays as it is
   * without it. Default null: none (lr_groups of Axolotl).
   */
  lrGroups?:
    | {
        pattern: string;
        learningRate?: number | undefined;
        weightDecay?: number | undefined;
        name?: string | undefined;
      }[]
    | null
    | undefined;
  /** Shape of the learning rate over the run. Default linear (TrainingArguments). */
  lrSchedulerType?:
    | "linear"
    | "cosine"
    | "cosine_with_restarts"
    | "polynomial"
    | "constant"
    | "constant_with_warmup"
    | "inverse_sqrt"
    | "reduce_lr_on_plateau"
    | "cosine_with_min_lr"
    | "cosine_warmup_with_min_lr"
    | "warmup_stable_decay"
    | "greedy"
    | undefined;
  /**
   * Constants of the schedule, as "name=value,...", as a JSON object or by name: transformers' of that type, such as
   * num_cycles, min_lr_rate or num_decay_steps. Default null: transformers' own (TrainingArguments).
   */
  lrSchedulerKwargs?: string | Record<string, number | boolean | string> | null | undefined;
  /**
   * How a finished run goes on that is resumed with more maxSteps or numTrainEpochs: fresh begins schedule and warm-up
   * again over the added steps, continue gives each of them the rate it has in a run that was this long from the start
   * (transformers). The optimizer's state stays. Default fresh.
   */
  schedule?: "fresh" | "continue" | undefined;
  /**
   * Steps in which the learning rate rises from 0; below 1 it is a share of all steps. Default 0 (TrainingArguments).
   */
  warmupSteps?: number | undefined;
  /**
   * Optimizer, by the names of transformers; docs/optimizers.md says which are here. Default adamw_torch
   * (TrainingArguments takes its fused form).
   */
  optim?:
    | "adamw_torch"
    | "adamw_torch_fused"
    | "adamw_torch_xla"
    | "adamw_torch_npu_fused"
    | "adafactor"
    | "adamw_anyprecision"
    | "adamw_torch_4bit"
    | "adamw_torch_8bit"
    | "ademamix"
    | "sgd"
    | "adagrad"
    | "adamw_bnb_8bit"
    | "adamw_8bit"
    | "ademamix_8bit"
    | "lion_8bit"
    | "lion_32bit"
    | "paged_adamw_32bit"
    | "paged_adamw_8bit"
    | "paged_ademamix_32bit"
    | "paged_ademamix_8bit"
    | "paged_lion_32bit"
    | "paged_lion_8bit"
    | "rmsprop"
    | "rmsprop_bnb"
    | "rmsprop_bnb_8bit"
    | "rmsprop_bnb_32bit"
    | "galore_adamw"
    | "galore_adamw_8bit"
    | "galore_adafactor"
    | "galore_adamw_layerwise"
    | "galore_adamw_8bit_layerwise"
    | "galore_adafactor_layerwise"
    | "lomo"
    | "adalomo"
    | "grokadamw"
    | "schedule_free_radam"
    | "schedule_free_adamw"
    | "schedule_free_sgd"
    | "apollo_adamw"
    | "apollo_adamw_layerwise"
    | "stable_adamw"
    | "muon"
    | "lorafa"
    | undefined;
  /**
   * Constants of the optimizer, as "name=value,...", as a JSON object or by name, such as momentum, dampening and
   * nesterov of sgd; docs/optimizers.md lists them. Default null: the optimizer's own (TrainingArguments).
   */
  optimArgs?: string | Record<string, number | boolean | string | number[]> | null | undefined;
  /**
   * Weight decay, decoupled, but added to the gradient for sgd, rmsprop and adagrad; norms and biases are exempt.
   * Default 0 (TrainingArguments).
   */
  weightDecay?: number | undefined;
  /** Decay of the first moment of AdamW, and beta1 of Lion. Default 0.9 (TrainingArguments). */
  adamBeta1?: number | undefined;
  /** Decay of the second moment of AdamW, and beta2 of Lion. Default 0.999 (TrainingArguments). */
  adamBeta2?: number | undefined;
  /** AdamW's epsilon. Default 1e-8 (TrainingArguments). */
  adamEpsilon?: number | undefined;
  /** Gradients are clipped to this global norm; 0 or null is off. Default 1 (TrainingArguments). */
  maxGradNorm?: number | null | undefined;
  /**
   * Residual dropout: share of the elements of what attention and feed-forward blocks add to the residual stream that
   * is zeroed in training passes, the rest scaled up. Masks are those of seed, step, row and position; evaluation and
   * generation drop nothing. InstructGPT's fine-tuning takes 0.2. Default 0 (resid_pdrop of GPT-2's configuration has
   * 0.1, the families here none).
   */
  residPdrop?: number | undefined;
  /**
   * Uniform noise on the embeddings of training passes, at most alpha / √(tokens of the row · hidden size)
   * (arXiv:2310.05914, which takes 5 to 15). The tokens are those of the row itself, where Hugging Face counts the
   * padding of its batch too: there a row's noise is smaller the longer its neighbours are. Default null: none
   * (TrainingArguments).
   */
  neftuneNoiseAlpha?: number | null | undefined;
  /** Rows of an evaluation batch. Default 8 (TrainingArguments). */
  perDeviceEvalBatchSize?: number | undefined;
  /**
   * When to evaluate. Default: no without an evaluation set, steps where evalSteps is given, else epoch
   * (TrainingArguments has no).
   */
  evalStrategy?: "no" | "steps" | "epoch" | null | undefined;
  /** Steps between two evaluations. Default for evalStrategy steps: loggingSteps (TrainingArguments). */
  evalSteps?: number | null | undefined;
  /**
   * No evaluation before this step, or with evalStrategy epoch before this many epochs. Default 0 (TrainingArguments).
   */
  evalDelay?: number | undefined;
  /** Evaluate before the first step as well. Default false (TrainingArguments). */
  evalOnStart?: boolean | undefined;
  /**
   * Metric that decides which evaluation is best, such as eval_loss, or one of the program's metrics; of several
   * evaluation sets with the name of one, such as eval_NAME_loss. Default eval_loss (TrainingArguments uses the loss
   * too).
   */
  metricForBestModel?: string | undefined;
  /**
   * Whether a greater metricForBestModel is better. Default null: as the metric itself says, so a lower loss; of the
   * program's metrics a greater value, unless the name ends with loss (TrainingArguments).
   */
  greaterIsBetter?: boolean | null | undefined;
  /**
   * Stop after this many evaluations in a row without an improvement; null is off. Default null (EarlyStoppingCallback
   * is opt-in).
   */
  earlyStoppingPatience?: number | null | undefined;
  /** An improvement must be larger than this. Default 0 (EarlyStoppingCallback). */
  earlyStoppingThreshold?: number | undefined;
  /** Prompts to answer during training. Default: the first three rows of the evaluation set. */
  samplePrompts?: string[] | null | undefined;
  /**
   * Answer the prompts before the first step, at each evaluation and at the end, so that report.html shows the answers
   * side by side. Default null: where samplePrompts or sampleEverySteps is given.
   */
  sampleOnEval?: boolean | null | undefined;
  /** Steps between two further rounds of samples; null is off. Default null. */
  sampleEverySteps?: number | null | undefined;
  /** Tokens of a sample at most. Default 64. */
  sampleMaxNewTokens?: number | undefined;
  /**
   * When to write checkpoints; all but no write one at the end. Whatever it is, loadBestModelAtEnd and
   * earlyStoppingPatience write one for each best evaluation, of which the last stays. Default steps
   * (TrainingArguments).
   */
  saveStrategy?: "steps" | "epoch" | "end" | "no" | undefined;
  /** Steps between two checkpoints. Default 500 (TrainingArguments). */
  saveSteps?: number | undefined;
  /** Checkpoints kept, the one of the best evaluation in addition; null keeps all. Default null (TrainingArguments). */
  saveTotalLimit?: number | null | undefined;
  /**
   * Checkpoints without the optimizer's state: smaller, but no run can go on from them. With loadBestModelAtEnd the
   * best one keeps it. Default false (TrainingArguments).
   */
  saveOnlyModel?: boolean | undefined;
  /**
   * What to do when a checkpoint or log line cannot be written, such as on a full disk: stop with an error, hold until
   * resume() or SIGCONT and try again, or warn and go on without. The newest good checkpoint is kept. Default stop.
   */
  onSaveError?: "stop" | "pause" | "continue" | undefined;
  /** End with the weights of the best evaluation. Default false (TrainingArguments). */
  loadBestModelAtEnd?: boolean | undefined;
  /**
   * Recompute layers in backward to save memory; auto: only where the run would not fit the free memory without,
   * decided once and kept when it is resumed. Default false (TrainingArguments).
   */
  gradientCheckpointing?: boolean | "auto" | undefined;
  /**
   * What to do before a run that takes more memory than is free: refuse it with numbers and advice, warn, or do not
   * look. Default refuse.
   */
  memoryCheck?: "refuse" | "warn" | "off" | undefined;
  /**
   * Tokens of one packed pass: the micro-batches of a step are joined up to it. Changes speed and memory, never a
   * metric. Default 1024: on two cores longer passes are no faster, and take about 0.7 MB a token for a model of 135M.
   */
  tokenBudget?: number | undefined;
}

/** Options of supervised fine-tuning (names of TRL's SFTConfig in camelCase). */
export interface SFTConfig extends TrainingArguments, SFTConfigNames {
  /**
   * Recipe whose values hold for all options that are not given: instructGptSft, unslothNotebook, trlSft or qlora8b
   * (docs/recipes.md). Default null: none.
   */
  preset?: "instructGptSft" | "unslothNotebook" | "trlSft" | "qlora8b" | null | undefined;
  /**
   * Takes what recommendTraining says for numTrainEpochs, maxLength, perDeviceTrainBatchSize, gradientAccumulationSteps
   * and learningRate where they are not set; reads the rows once more. Default false (a run should do what its options
   * say).
   */
  auto?: boolean | undefined;
  /** Tokens that a row may have, and tokens of a packed row; null: any number. Default 1024 (TRL). */
  maxLength?: number | null | undefined;
  /**
   * What is done with a row of more than maxLength tokens: its start or its end is kept, it is left out, or it is an
   * error. Default keep_start (TRL).
   */
  truncationMode?: "keep_start" | "keep_end" | "drop" | "error" | undefined;
  /**
   * trainSamplingStrategy sequential: rows come in one random order by the seed, the same in every epoch; other orders
   * are random anyway. Default false (TRL).
   */
  shuffleDataset?: boolean | undefined;
  /**
   * Tokens that the prompt of a row may have, all before the first that is trained; rows with a longer one are left out
   * and counted. Plain text has none. Default null: any number (TRL's DPOConfig cuts at 512; InstructGPT leaves out
   * prompts over 1k).
   */
  maxPromptLength?: number | null | undefined;
  /**
   * Tokens from the first that is trained on that a row may have, likewise. Plain text is not looked at. Default null:
   * any number.
   */
  maxCompletionLength?: number | null | undefined;
  /**
   * Rows are packed into rows of maxLength tokens, so that a step sees more of them. No token sees another row. Default
   * false (TRL).
   */
  packing?: boolean | undefined;
  /**
   * bfd: best fit decreasing within 1,000 rows, rows are cut at maxLength; bfd_split: longer rows go on in others;
   * wrapped: end to end, cut wherever maxLength falls; best_fit: bfd over the whole set. Default bfd (TRL, which has
   * the first three).
   */
  packingStrategy?: "bfd" | "bfd_split" | "wrapped" | "best_fit" | undefined;
  /** Whether the evaluation set is packed too. Default null: as packing says (TRL). */
  evalPacking?: boolean | null | undefined;
  /**
   * Bytes that a row may have as JSON; a larger one is refused with its line and size. Preparing takes up to 256 times
   * the largest row of memory. Default 1048576 (1 MiB).
   */
  maxRowBytes?: number | undefined;
  /** Format of the rows. Default auto: by the columns of the first row; one of another format is an error. */
  datasetFormat?:
    | "auto"
    | "tokenized"
    | "messages"
    | "prompt-completion"
    | "sharegpt"
    | "alpaca"
    | "text"
    | "openai-preference"
    | "preference"
    | "prompt-only"
    | undefined;
  /**
   * Columns of the rows by the names that formats have for them, such as { prompt: "question", completion: "answer" }.
   * Default: the same names.
   */
  columns?: Record<string, string> | null | undefined;
  /** Column of plain text rows. Default text (TRL). */
  datasetTextField?: string | undefined;
  /**
   * Files of 4 MiB or more are prepared once and kept in HF_DATASETS_CACHE; a run with the same rows, tokenizer,
   * template and options takes them from there. What difficulty measures before the first step is kept there too, for
   * the same model and rows. Default true (datasets).
   */
  loadFromCacheFile?: boolean | undefined;
  /**
   * Rows are read while they are trained on, so that the first step does not wait for the last row; always so for
   * iterables, streams and functions. Needs maxSteps. Default false (datasets' load_dataset).
   */
  streaming?: boolean | undefined;
  /**
   * streaming: rows that are held, of which each next one is drawn at random. Default 1000 (datasets'
   * IterableDataset.shuffle).
   */
  bufferSize?: number | undefined;
  /**
   * A row that cannot be used ends the run, or is left out and counted in the report. Default error (a run should train
   * on all it was given).
   */
  onBadRow?: "error" | "skip" | undefined;
  /**
   * Rows of the training set that are held out to evaluate with: a share below 1, or how many (datasets'
   * train_test_split). Default null: none.
   */
  testSize?: number | null | undefined;
  /**
   * Column whose equal values stay together where testSize splits, so that no user or document is on both sides.
   * Default null: rows are split one by one.
   */
  splitBy?: string | null | undefined;
  /**
   * How testSize chooses: random, exactly as many rows as asked for, by the seed; hash, each row or group by its
   * content and the seed, so that it stays on its side when rows are added, and equal rows are never on both. Default
   * random (datasets).
   */
  splitStrategy?: "random" | "hash" | undefined;
  /**
   * Conversations: train on the assistant's turns only. Default true; TRL's is false, but training on the user's words
   * is rarely meant.
   */
  assistantOnlyLoss?: boolean | undefined;
  /**
   * Train on answers only, whatever the rows are: those that do not say which part is the answer, such as plain text,
   * are refused. Default false: they are trained whole (Unsloth's train_on_responses_only).
   */
  trainOnResponsesOnly?: boolean | undefined;
  /**
   * Conversations: train on the last turn of the assistant only; the turns before it are context. Default false
   * (Unsloth).
   */
  lastResponseOnly?: boolean | undefined;
  /**
   * Conversations: train on the tool calls of trained turns. false: they are context, with what the chat template
   * writes around them; the rest of the turn and its end are trained. Default true (TRL trains whole turns).
   */
  trainOnToolCalls?: boolean | undefined;
  /**
   * Conversations: train on the reasoning of trained turns (reasoning_content, thinking, or <think> in a content).
   * false: it is context, with its tags. Default true (TRL trains whole turns).
   */
  trainOnReasoning?: boolean | undefined;
  /**
   * What the chat template writes before a user's turn, to be checked against it; labels come from the template itself.
   * Default null: not checked (Unsloth).
   */
  instructionPart?: string | null | undefined;
  /** What the chat template writes before an answer, likewise. Default null: not checked (Unsloth). */
  responsePart?: string | null | undefined;
  /** Prompt-completion rows: train on the completion only. Default: true for such rows (TRL). */
  completionOnlyLoss?: boolean | null | undefined;
  /**
   * Loss weight of the tokens that are not trained otherwise: the prompt, and what the assistant did not write. The
   * loss is divided by the sum of all weights. Default 0: they are context only (TRL).
   */
  promptLossWeight?: number | undefined;
  /**
   * Conversations: control tokens in the texts of rows are encoded as text, so that only the chat template writes them
   * as tokens: special tokens, and other added tokens that the template writes. Default false (transformers'
   * apply_chat_template).
   */
  sanitizeControlTokens?: boolean | undefined;
  /**
   * What is minimised, in training and in eval_loss: nll, the mean of -log p of the supervised tokens; dft, that times
   * p taken as a constant, so that tokens which are unlikely anyway count less (arXiv:2508.05629); chunked_nll is nll.
   * Default nll (TRL).
   */
  lossType?: "nll" | "chunked_nll" | "dft" | undefined;
  /**
   * Share of the loss that goes to the mean of -log p over the whole vocabulary, in training and in eval_loss
   * (arXiv:1512.00567); none with lossType dft. Default 0 (TrainingArguments).
   */
  labelSmoothingFactor?: number | undefined;
  /**
   * Factor of (log Σ exp logits)² in the loss of each token, which keeps logits from growing (arXiv:2204.02311); in
   * training only, none with lossType dft. The paper takes 1e-4. Default 0 (z_loss_multiplier of OLMo-core and
   * MaxText).
   */
  zLossMultiplier?: number | undefined;
}

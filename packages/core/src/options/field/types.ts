// Names of the field without an effect here, as types; written by `npm run generate`.

/** Names of TrainingArguments without an effect here: taken, or not there yet. */
export interface TrainingArgumentsNames {
  /** Taken, nothing to do: a step is divided by all its tokens, and there is one device. Default true (theirs). */
  averageTokensAcrossDevices?: boolean | null | undefined;
  /**
   * Taken, nothing to do: dtype and device say what is computed in: bfloat16 on a GPU, float32 on the CPU. Default
   * false (theirs).
   */
  bf16?: boolean | null | undefined;
  /**
   * Taken, nothing to do: dtype and device say what is computed in: bfloat16 on a GPU, float32 on the CPU; float16 is
   * not computed in. Default false (theirs).
   */
  fp16?: boolean | null | undefined;
  /**
   * Taken, nothing to do: dtype and device say what is computed in: bfloat16 on a GPU, float32 on the CPU. Default
   * false (theirs).
   */
  bf16FullEval?: boolean | null | undefined;
  /**
   * Taken, nothing to do: dtype and device say what is computed in: bfloat16 on a GPU, float32 on the CPU. Default
   * false (theirs).
   */
  fp16FullEval?: boolean | null | undefined;
  /** Taken, nothing to do: products of float32 keep float32. Default null (theirs). */
  tf32?: boolean | null | undefined;
  /** Taken, nothing to do: there is one way to compute layers again. Default null (theirs). */
  activationCheckpointingKwargs?: string | Record<string, unknown> | null | undefined;
  /** Taken, nothing to do: there is one way to compute layers again. Default null (theirs). */
  gradientCheckpointingKwargs?: string | Record<string, unknown> | null | undefined;
  /** Taken, nothing to do: the head and its loss are fused, and logits exist in chunks only. Default false (theirs). */
  useLigerKernel?: boolean | null | undefined;
  /** Taken, nothing to do: the head and its loss are fused, and logits exist in chunks only. Default null (theirs). */
  ligerKernelConfig?: Record<string, unknown> | null | undefined;
  /** Taken, nothing to do: training keeps no keys and values of earlier tokens. Default false (theirs). */
  useCache?: boolean | null | undefined;
  /**
   * Taken, nothing to do: the engine's memory is planned before the run, and no allocator caches it. Default null
   * (theirs).
   */
  torchEmptyCacheSteps?: number | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default true (theirs). */
  logOnEachNode?: boolean | null | undefined;
  /**
   * Taken, nothing to do: a step that is not finite is skipped with a warning and is in no mean. Default true (theirs).
   */
  loggingNanInfFilter?: boolean | null | undefined;
  /** Taken, nothing to do: every log line has numTokens. Default no (theirs). */
  includeNumInputTokensSeen?: boolean | string | null | undefined;
  /**
   * Taken, nothing to do: progress is a line of the terminal, and --json has events alone. Default passive (theirs).
   */
  logLevel?: string | null | undefined;
  /**
   * Taken, nothing to do: progress is a line of the terminal, and --json has events alone. Default warning (theirs).
   */
  logLevelReplica?: string | null | undefined;
  /** Taken, nothing to do: progress is a line of the terminal, and --json has events alone. Default null (theirs). */
  disableTqdm?: boolean | null | undefined;
  /** Taken, nothing to do: only a report to Trackio reads it. Default huggingface (theirs). */
  project?: string | null | undefined;
  /** Taken, nothing to do: only a report to Trackio reads it. Default null (theirs). */
  trackioSpaceId?: string | null | undefined;
  /** Taken, nothing to do: only a report to Trackio reads it. Default null (theirs). */
  trackioBucketId?: string | null | undefined;
  /** Taken, nothing to do: only a report to Trackio reads it. Default null (theirs). */
  trackioStaticSpaceId?: string | boolean | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default false (theirs). */
  predictionLossOnly?: boolean | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default true (theirs). */
  evalDoConcatBatches?: boolean | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default false (theirs). */
  evalUseGatherObject?: boolean | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default null (theirs). */
  evalAccumulationSteps?: number | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default [] (theirs). */
  includeForMetrics?: string[] | null | undefined;
  /** Taken, nothing to do: evaluation takes sums from the device and keeps no logits. Default false (theirs). */
  batchEvalMetrics?: boolean | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default false (theirs). */
  saveOnEachNode?: boolean | null | undefined;
  /** Taken, nothing to do: SIGTERM ends every run with a checkpoint. Default false (theirs). */
  enableJitCheckpoint?: boolean | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it; HF_TOKEN is what downloads use. Default null (theirs). */
  hubToken?: string | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it. Default null (theirs). */
  hubPrivateRepo?: boolean | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it. Default null (theirs). */
  hubModelId?: string | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it. Default every_save (theirs). */
  hubStrategy?: string | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it. Default false (theirs). */
  hubAlwaysPush?: boolean | null | undefined;
  /** Taken, nothing to do: only pushToHub reads it. Default null (theirs). */
  hubRevision?: string | null | undefined;
  /** Taken, nothing to do: a resumed run has the state of early stopping anyway. Default false (theirs). */
  restoreCallbackStatesFromCheckpoint?: boolean | null | undefined;
  /** Taken, nothing to do: every run is deterministic, with any number of threads. Default false (theirs). */
  fullDeterminism?: boolean | null | undefined;
  /** Taken, nothing to do: it says how several processes share batches, and there is one. Default null (theirs). */
  acceleratorConfig?: string | Record<string, unknown> | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * 0 (theirs).
   */
  dataloaderNumWorkers?: number | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * true (theirs).
   */
  dataloaderPinMemory?: boolean | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * false (theirs).
   */
  dataloaderPersistentWorkers?: boolean | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * null (theirs).
   */
  dataloaderPrefetchFactor?: number | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * null (theirs).
   */
  dataloaderMultiprocessingContext?: string | null | undefined;
  /**
   * Taken, nothing to do: rows are read and tokenised in Rust and in the background, without worker processes. Default
   * true (theirs).
   */
  dataloaderInOrder?: boolean | null | undefined;
  /** Taken, nothing to do: columns that nothing reads are not kept. Default true (theirs). */
  removeUnusedColumns?: boolean | null | undefined;
  /** Taken, nothing to do: labels are the supervised tokens of the rows. Default null (theirs). */
  labelNames?: string[] | null | undefined;
  /** Taken, nothing to do: lengths are those of the rows once tokenised. Default length (theirs). */
  lengthColumnName?: string | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default null (theirs). */
  ddpFindUnusedParameters?: boolean | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default null (theirs). */
  ddpBucketCapMb?: number | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default null (theirs). */
  ddpBroadcastBuffers?: boolean | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default null (theirs). */
  ddpStaticGraph?: boolean | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default null (theirs). */
  ddpBackend?: string | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default 1800 (theirs). */
  ddpTimeout?: number | null | undefined;
  /** Taken, nothing to do: there is one process with one device. Default -1 (theirs). */
  localRank?: number | null | undefined;
  /** Taken, nothing to do: the result of every run has its peak memory. Default true (theirs). */
  skipMemoryMetrics?: boolean | null | undefined;
  /**
   * Taken, nothing to do: Trainer does not read it; train() takes it, and tunesmith sft goes on from it. Default null
   * (theirs).
   */
  resumeFromCheckpoint?: string | boolean | null | undefined;
  /**
   * Taken, nothing to do: Trainer does not read it; whether there is something to evaluate with says it. Default false
   * (theirs).
   */
  doTrain?: boolean | null | undefined;
  /**
   * Taken, nothing to do: Trainer does not read it; whether there is something to evaluate with says it. Default false
   * (theirs).
   */
  doEval?: boolean | null | undefined;
  /**
   * Taken, nothing to do: Trainer does not read it; whether there is something to evaluate with says it. Default false
   * (theirs).
   */
  doPredict?: boolean | null | undefined;
  /** Not yet: GaLore and APOLLO are not there; leave it out. Default null (theirs). */
  optimTargetModules?: null | undefined;
  /**
   * Not yet: the engine's kernels are compiled ahead of time, and nothing is compiled while it runs; leave it out.
   * Default false (theirs).
   */
  torchCompile?: false | null | undefined;
  /**
   * Not yet: the engine's kernels are compiled ahead of time, and nothing is compiled while it runs; leave it out.
   * Default null (theirs).
   */
  torchCompileBackend?: null | undefined;
  /**
   * Not yet: the engine's kernels are compiled ahead of time, and nothing is compiled while it runs; leave it out.
   * Default null (theirs).
   */
  torchCompileMode?: null | undefined;
  /** Not yet: the run folder holds the result; push it with the hub's own client. Default false (theirs). */
  pushToHub?: false | null | undefined;
  /** Not yet: a run has one device; leave it out. Default null (theirs). */
  parallelismConfig?: null | undefined;
  /** Not yet: a run has one device; leave it out. Default null (theirs). */
  fsdp?: "" | null | undefined;
  /** Not yet: a run has one device; leave it out. Default null (theirs). */
  fsdpConfig?: null | undefined;
  /** Not yet: a run has one device; leave it out. Default null (theirs). */
  deepspeed?: null | undefined;
  /**
   * Not yet: what overflows inside a layer is not traced; a step that is not finite names its rows. Default  (theirs).
   */
  debug?: "" | null | undefined;
}

/** Names of SFTConfig without an effect here: taken, or not there yet. */
export interface SFTConfigNames {
  /**
   * Taken, nothing to do: code of a repository is never run; model families are part of the engine. Default false
   * (theirs).
   */
  trustRemoteCode?: boolean | null | undefined;
  /**
   * Taken, nothing to do: the model is open already, as for TRL with a model that is loaded; tunesmith sft opens it
   * with them. Default null (theirs).
   */
  modelInitKwargs?: string | Record<string, unknown> | null | undefined;
  /**
   * Taken, nothing to do: rows are tokenised in Rust and in the background, without worker processes. Default null
   * (theirs).
   */
  datasetNumProc?: number | null | undefined;
  /** Taken, nothing to do: rows that are tokenised already are recognised by their columns. Default null (theirs). */
  datasetKwargs?: string | Record<string, unknown> | null | undefined;
  /** Taken, nothing to do: rows lie end to end and are never padded. Default false (theirs). */
  paddingFree?: boolean | null | undefined;
  /** Taken, nothing to do: rows lie end to end and are never padded. Default auto (theirs). */
  padToMultipleOf?: number | string | null | undefined;
  /** Taken, nothing to do: rows lie end to end and are never padded. Default null (theirs). */
  padToken?: string | null | undefined;
  /** Not yet: the load of experts is not balanced by a loss; give 0 or leave it out. Default null (theirs). */
  routerAuxLossCoef?: 0 | null | undefined;
  /** Not yet: activations stay on the device; gradientCheckpointing: "auto" saves memory. Default false (theirs). */
  activationOffloading?: false | null | undefined;
}

/** Names of GRPOConfig without an effect here: taken, or not there yet. */
export interface GRPOConfigNames {
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * false (theirs).
   */
  useVllm?: boolean | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * colocate (theirs).
   */
  vllmMode?: string | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * 0.3 (theirs).
   */
  vllmGpuMemoryUtilization?: number | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default 1
   * (theirs).
   */
  vllmTensorParallelSize?: number | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * false (theirs).
   */
  vllmEnableSleepMode?: boolean | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * false (theirs).
   */
  useTransformersContinuousBatching?: boolean | null | undefined;
  /**
   * Taken, nothing to do: completions are written by the model in memory, with the weights that are trained. Default
   * true (theirs).
   */
  ds3GatherForGeneration?: boolean | null | undefined;
  /** Taken, nothing to do: log-probabilities are computed in float32 anyway. Default false (theirs). */
  castLmHeadToFp32?: boolean | null | undefined;
  /** Not yet: give temperature, topP, topK, minP and repetitionPenalty. Default null (theirs). */
  generationKwargs?: null | undefined;
  /** Not yet: write what the template needs into chatTemplatePath. Default null (theirs). */
  chatTemplateKwargs?: null | undefined;
  /** Not yet: tools are not called during training. Default null (theirs). */
  maxToolCallingIterations?: null | undefined;
  /** Not yet: completions.jsonl holds every prompt. Default false (theirs). */
  logUniquePrompts?: false | null | undefined;
  /** Not yet: an evaluation set is not answered and rewarded; leave it out. Default null (theirs). */
  numGenerationsEval?: null | undefined;
}

/** Names of LoraConfig without an effect here: taken, or not there yet. */
export interface LoraConfigNames {
  /** Taken, nothing to do: what is trained is a causal language model. Default null (theirs). */
  taskType?: "CAUSAL_LM" | null | undefined;
  /** Taken, nothing to do: the adapter is LoRA. Default null (theirs). */
  peftType?: "LORA" | null | undefined;
  /** Taken, nothing to do: adapter_config.json is written with what the run has. Default null (theirs). */
  baseModelNameOrPath?: string | null | undefined;
  /** Taken, nothing to do: adapter_config.json is written with what the run has. Default null (theirs). */
  revision?: string | null | undefined;
  /** Taken, nothing to do: adapter_config.json is written with what the run has. Default false (theirs). */
  inferenceMode?: boolean | null | undefined;
  /** Taken, nothing to do: adapter_config.json is written with what the run has. Default null (theirs). */
  autoMapping?: Record<string, unknown> | null | undefined;
  /** Taken, nothing to do: adapter_config.json is written with what the run has. Default null (theirs). */
  peftVersion?: string | null | undefined;
  /** Taken, nothing to do: how a layer stores its weights is read from the model. Default false (theirs). */
  fanInFanOut?: boolean | null | undefined;
  /** Taken, nothing to do: only megatronConfig reads it. Default megatron.core (theirs). */
  megatronCore?: string | null | undefined;
  /** Taken, nothing to do: only useQalora reads it. Default 16 (theirs). */
  qaloraGroupSize?: number | null | undefined;
  /** Taken, nothing to do: what it holds is where PEFT computes an initialisation. Default {} (theirs). */
  runtimeConfig?: Record<string, unknown> | null | undefined;
  /** Not yet: EVA is not there; leave it out. Default null (theirs). */
  evaConfig?: null | undefined;
  /** Not yet: a run has one device; leave it out. Default null (theirs). */
  megatronConfig?: null | undefined;
  /** Not yet: CorDA is not there; leave it out, initLoraWeights has others. Default null (theirs). */
  cordaConfig?: null | undefined;
  /** Not yet: LoRA-GA is not there; leave it out, initLoraWeights has others. Default null (theirs). */
  loraGaConfig?: null | undefined;
  /** Not yet: VeLoRA is not there; gradientCheckpointing saves activations, leave it out. Default null (theirs). */
  veloraConfig?: null | undefined;
  /** Not yet: adapters act on every token, not from a mark on; leave it out. Default null (theirs). */
  aloraInvocationTokens?: null | undefined;
  /** Not yet: QALoRA is for GPTQ weights, which are not read; leave it out. Default false (theirs). */
  useQalora?: false | null | undefined;
  /** Not yet: MonteCLoRA is not there; leave it out. Default null (theirs). */
  montecloraConfig?: null | undefined;
  /** Not yet: layers are trained as the model has them; leave it out. Default null (theirs). */
  layerReplication?: null | undefined;
  /** Not yet: adapters in blocks are for several GPUs that serve; leave it out. Default null (theirs). */
  useBdlora?: null | undefined;
  /** Not yet: adapters are not routed; leave it out. Default null (theirs). */
  arrowConfig?: null | undefined;
  /** Not yet: KaSA is not there; leave it out. Default null (theirs). */
  kasaConfig?: null | undefined;
}

/** Names of ModelConfig without an effect here: taken, or not there yet. */
export interface ModelConfigNames {
  /** Taken, nothing to do: attention is the engine's own, whose scores exist in tiles only. Default null (theirs). */
  attnImplementation?: string | null | undefined;
  /** Taken, nothing to do: four-bit weights lie in bytes, two to each. Default null (theirs). */
  bnb4bitQuantStorage?: string | null | undefined;
  /**
   * Not yet: eight bits are not implemented; loadIn4bit holds the layers in four, dtype in sixteen. Default false
   * (theirs).
   */
  loadIn8bit?: false | null | undefined;
}

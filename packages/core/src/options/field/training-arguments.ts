// Names of TrainingArguments for which nothing has to be done here, and those whose effect is not there yet.
import * as z from "zod";
import { anyObject, none, notYet, off, taken } from "./verdicts.ts";

const flag = z.boolean();
const text = z.string();
const objectOrText = z.union([text, anyObject]);

const precision = "dtype and device say what is computed in: bfloat16 on a GPU, float32 on the CPU";
const workers = "rows are read and tokenised in Rust and in the background, without worker processes";
const oneProcess = "there is one process with one device";
const metricsInputs = "evaluation takes sums from the device and keeps no logits";
const onlyHub = "only pushToHub reads it";
const onlyTrackio = "only a report to Trackio reads it";
const terminal = "progress is a line of the terminal, and --json has events alone";
const scripts = "Trainer does not read it; whether there is something to evaluate with says it";

/** Names that are taken. */
export const takenArguments = {
  averageTokensAcrossDevices: taken(flag, true, "a step is divided by all its tokens, and there is one device"),
  bf16: taken(flag, false, precision),
  fp16: taken(flag, false, `${precision}; float16 is not computed in`),
  bf16FullEval: taken(flag, false, precision),
  fp16FullEval: taken(flag, false, precision),
  tf32: taken(flag, null, "products of float32 keep float32"),
  activationCheckpointingKwargs: taken(objectOrText, null, "there is one way to compute layers again"),
  gradientCheckpointingKwargs: taken(objectOrText, null, "there is one way to compute layers again"),
  useLigerKernel: taken(flag, false, "the head and its loss are fused, and logits exist in chunks only"),
  ligerKernelConfig: taken(anyObject, null, "the head and its loss are fused, and logits exist in chunks only"),
  useCache: taken(flag, false, "training keeps no keys and values of earlier tokens"),
  torchEmptyCacheSteps: taken(
    z.int(),
    null,
    "the engine's memory is planned before the run, and no allocator caches it",
  ),
  logOnEachNode: taken(flag, true, oneProcess),
  loggingNanInfFilter: taken(flag, true, "a step that is not finite is skipped with a warning and is in no mean"),
  includeNumInputTokensSeen: taken(z.union([flag, text]), "no", "every log line has numTokens"),
  logLevel: taken(text, "passive", terminal),
  logLevelReplica: taken(text, "warning", terminal),
  disableTqdm: taken(flag, null, terminal),
  project: taken(text, "huggingface", onlyTrackio),
  trackioSpaceId: taken(text, null, onlyTrackio),
  trackioBucketId: taken(text, null, onlyTrackio),
  trackioStaticSpaceId: taken(z.union([text, flag]), null, onlyTrackio),
  predictionLossOnly: taken(flag, false, metricsInputs),
  evalDoConcatBatches: taken(flag, true, metricsInputs),
  evalUseGatherObject: taken(flag, false, metricsInputs),
  evalAccumulationSteps: taken(z.int(), null, metricsInputs),
  includeForMetrics: taken(z.array(text), [], metricsInputs),
  batchEvalMetrics: taken(flag, false, metricsInputs),
  saveOnEachNode: taken(flag, false, oneProcess),
  enableJitCheckpoint: taken(flag, false, "SIGTERM ends every run with a checkpoint"),
  hubToken: taken(text, null, `${onlyHub}; HF_TOKEN is what downloads use`),
  hubPrivateRepo: taken(flag, null, onlyHub),
  hubModelId: taken(text, null, onlyHub),
  hubStrategy: taken(text, "every_save", onlyHub),
  hubAlwaysPush: taken(flag, false, onlyHub),
  hubRevision: taken(text, null, onlyHub),
  restoreCallbackStatesFromCheckpoint: taken(flag, false, "a resumed run has the state of early stopping anyway"),
  fullDeterminism: taken(flag, false, "every run is deterministic, with any number of threads"),
  acceleratorConfig: taken(objectOrText, null, "it says how several processes share batches, and there is one"),
  dataloaderNumWorkers: taken(z.int(), 0, workers),
  dataloaderPinMemory: taken(flag, true, workers),
  dataloaderPersistentWorkers: taken(flag, false, workers),
  dataloaderPrefetchFactor: taken(z.int(), null, workers),
  dataloaderMultiprocessingContext: taken(text, null, workers),
  dataloaderInOrder: taken(flag, true, workers),
  removeUnusedColumns: taken(flag, true, "columns that nothing reads are not kept"),
  labelNames: taken(z.array(text), null, "labels are the supervised tokens of the rows"),
  lengthColumnName: taken(text, "length", "lengths are those of the rows once tokenised"),
  ddpFindUnusedParameters: taken(flag, null, oneProcess),
  ddpBucketCapMb: taken(z.int(), null, oneProcess),
  ddpBroadcastBuffers: taken(flag, null, oneProcess),
  ddpStaticGraph: taken(flag, null, oneProcess),
  ddpBackend: taken(text, null, oneProcess),
  ddpTimeout: taken(z.int(), 1800, oneProcess),
  localRank: taken(z.int(), -1, oneProcess),
  skipMemoryMetrics: taken(flag, true, "the result of every run has its peak memory"),
  resumeFromCheckpoint: taken(
    z.union([text, flag]),
    null,
    "Trainer does not read it; train() takes it, and tunesmith sft goes on from it",
  ),
  doTrain: taken(flag, false, scripts),
  doEval: taken(flag, false, scripts),
  doPredict: taken(flag, false, scripts),
};

const compile = "the engine's kernels are compiled ahead of time, and nothing is compiled while it runs; leave it out";

/** Names whose effect is not there yet. */
export const missingArguments = {
  optimTargetModules: notYet(none, null, "other", "GaLore and APOLLO are not there; leave it out"),
  torchCompile: notYet(off, false, "torch.compile", compile),
  torchCompileBackend: notYet(none, null, "torch.compile", compile),
  torchCompileMode: notYet(none, null, "torch.compile", compile),
  pushToHub: notYet(off, false, "hub push", "the run folder holds the result; push it with the hub's own client"),
  parallelismConfig: notYet(none, null, "several GPUs", "a run has one device; leave it out"),
  fsdp: notYet(z.union([z.literal(""), none]), null, "several GPUs", "a run has one device; leave it out"),
  fsdpConfig: notYet(none, null, "several GPUs", "a run has one device; leave it out"),
  deepspeed: notYet(none, null, "several GPUs", "a run has one device; leave it out"),
  debug: notYet(
    z.union([z.literal(""), none]),
    "",
    "other",
    "what overflows inside a layer is not traced; a step that is not finite names its rows",
  ),
};

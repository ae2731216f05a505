// Names of PEFT's LoraConfig for which nothing has to be done here, and those whose effect is not there yet.
import * as z from "zod";
import { anyObject, none, notYet, off, taken } from "./verdicts.ts";

const written = "adapter_config.json is written with what the run has";

/** Names that are taken. */
export const takenLora = {
  taskType: taken(z.literal("CAUSAL_LM"), null, "what is trained is a causal language model"),
  peftType: taken(z.literal("LORA"), null, "the adapter is LoRA"),
  baseModelNameOrPath: taken(z.string(), null, written),
  revision: taken(z.string(), null, written),
  inferenceMode: taken(z.boolean(), false, written),
  autoMapping: taken(anyObject, null, written),
  peftVersion: taken(z.string(), null, written),
  fanInFanOut: taken(z.boolean(), false, "how a layer stores its weights is read from the model"),
  megatronCore: taken(z.string(), "megatron.core", "only megatronConfig reads it"),
  qaloraGroupSize: taken(z.int(), 16, "only useQalora reads it"),
  runtimeConfig: taken(anyObject, {}, "what it holds is where PEFT computes an initialisation"),
};

const leave = "leave it out";

/** Names whose effect is not there yet. */
export const missingLora = {
  evaConfig: notYet(none, null, "planned", `EVA is not there; ${leave}`),
  megatronConfig: notYet(none, null, "several GPUs", `a run has one device; ${leave}`),
  cordaConfig: notYet(none, null, "other", `CorDA is not there; ${leave}, initLoraWeights has others`),
  loraGaConfig: notYet(none, null, "other", `LoRA-GA is not there; ${leave}, initLoraWeights has others`),
  veloraConfig: notYet(none, null, "other", `VeLoRA is not there; gradientCheckpointing saves activations, ${leave}`),
  aloraInvocationTokens: notYet(none, null, "other", `adapters act on every token, not from a mark on; ${leave}`),
  useQalora: notYet(off, false, "other", `QALoRA is for GPTQ weights, which are not read; ${leave}`),
  montecloraConfig: notYet(none, null, "other", `MonteCLoRA is not there; ${leave}`),
  layerReplication: notYet(none, null, "other", `layers are trained as the model has them; ${leave}`),
  useBdlora: notYet(none, null, "several GPUs", `adapters in blocks are for several GPUs that serve; ${leave}`),
  arrowConfig: notYet(none, null, "other", `adapters are not routed; ${leave}`),
  kasaConfig: notYet(none, null, "other", `KaSA is not there; ${leave}`),
};

// Names of optimizers, those of transformers' OptimizerNames, muon and lorafa, and the optimizer that each stands for.

/** What a name asks for: an optimizer of the engine, with a note where it is not quite what the name says; or why it is not here yet. */
type Meaning = { readonly type: EngineOptimizer; readonly note?: string } | { readonly notYet: string };

/** The engine's optimizers. */
export type EngineOptimizer =
  | "adamw"
  | "adamw8bit"
  | "sgd"
  | "lion"
  | "lion8bit"
  | "schedulefree"
  | "rmsprop"
  | "adagrad"
  | "ademamix"
  | "adafactor"
  | "muon"
  | "lorafa";

const fused = "is adamw_torch here: the step is one pass in any case";
const paged = (name: string) => `is ${name} here: its states stay on the device, where the memory plan counts them`;
const lowRank = "projections of the gradient are not implemented; train an adapter, or take adamw_8bit";
const fewBits = "only bitsandbytes' states of eight bits are implemented; take adamw_8bit";

const names = {
  adamw_torch: { type: "adamw" },
  adamw_torch_fused: { type: "adamw", note: fused },
  adamw_torch_xla: { type: "adamw", note: "is adamw_torch here: there is no XLA device" },
  adamw_torch_npu_fused: { type: "adamw", note: "is adamw_torch here: there is no NPU" },
  adafactor: { type: "adafactor" },
  adamw_anyprecision: { notYet: "states of a chosen type are not implemented; take adamw_8bit" },
  adamw_torch_4bit: { notYet: fewBits },
  adamw_torch_8bit: { notYet: fewBits },
  ademamix: { type: "ademamix" },
  sgd: { type: "sgd" },
  adagrad: { type: "adagrad" },
  adamw_bnb_8bit: { type: "adamw8bit" },
  adamw_8bit: { type: "adamw8bit" },
  ademamix_8bit: { notYet: "its states are float32 only; take ademamix" },
  lion_8bit: { type: "lion8bit" },
  lion_32bit: { type: "lion" },
  paged_adamw_32bit: { type: "adamw", note: paged("adamw_torch") },
  paged_adamw_8bit: { type: "adamw8bit", note: paged("adamw_8bit") },
  paged_ademamix_32bit: { type: "ademamix", note: paged("ademamix") },
  paged_ademamix_8bit: { notYet: "its states are float32 only; take ademamix" },
  paged_lion_32bit: { type: "lion", note: paged("lion_32bit") },
  paged_lion_8bit: { type: "lion8bit", note: paged("lion_8bit") },
  rmsprop: { type: "rmsprop" },
  rmsprop_bnb: { type: "rmsprop" },
  rmsprop_bnb_8bit: { notYet: "its states are float32 only; take rmsprop" },
  rmsprop_bnb_32bit: { type: "rmsprop" },
  galore_adamw: { notYet: lowRank },
  galore_adamw_8bit: { notYet: lowRank },
  galore_adafactor: { notYet: lowRank },
  galore_adamw_layerwise: { notYet: lowRank },
  galore_adamw_8bit_layerwise: { notYet: lowRank },
  galore_adafactor_layerwise: { notYet: lowRank },
  lomo: { notYet: "an update inside backward is not implemented; take adamw_8bit" },
  adalomo: { notYet: "an update inside backward is not implemented; take adamw_8bit" },
  grokadamw: { notYet: "it is not implemented; take adamw_torch" },
  schedule_free_radam: { notYet: "it is not implemented; take schedule_free_adamw" },
  schedule_free_adamw: { type: "schedulefree" },
  schedule_free_sgd: { notYet: "it is not implemented; take schedule_free_adamw" },
  apollo_adamw: { notYet: lowRank },
  apollo_adamw_layerwise: { notYet: lowRank },
  stable_adamw: { notYet: "it is not implemented; take adamw_torch with maxGradNorm" },
  muon: { type: "muon" },
  lorafa: { type: "lorafa" },
} as const satisfies Readonly<Record<string, Meaning>>;

/** A name of an optimizer. */
export type OptimizerName = keyof typeof names;

/** What each name stands for. */
export const optimizerNames: Readonly<Record<OptimizerName, Meaning>> = names;

/** The names, for an option. */
export const optimizerNameList = Object.keys(names) as [OptimizerName, ...OptimizerName[]];

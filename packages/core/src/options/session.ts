// What crosses to the engine, as one JSON value; the engine's structs have the same fields.
import * as z from "zod";
import { count, path } from "./declare.ts";
import { missingLora, takenLora } from "./field/lora.ts";
import { missingModel, takenModel } from "./field/model.ts";
import { allOf, effective } from "./field/verdicts.ts";
import { loraConfigSchema, type ParsedLoraConfig } from "./lora.ts";
import { modelConfigSchema } from "./model.ts";
import { canonicalName } from "./names.ts";
import { optimizerSchema } from "./optimizer.ts";

/** The engine's own groups of trained tensors: matrices, norms and biases, whole embeddings, B of an adapter with its magnitudes. */
export const parameterKinds = ["decay", "no_decay", "embedding", "lora_b"] as const;

/** One of the engine's own groups of trained tensors. */
export type ParameterKind = (typeof parameterKinds)[number];

const listOrNull = <T extends z.ZodType>(item: T) => z.array(item).min(1).nullable().default(null);

/** A new LoRA adapter: the options of {@link loraConfigSchema} that describe it. */
export const loraOptionsSchema = loraConfigSchema
  .omit({
    fullFinetuning: true,
    adapterPath: true,
    randomState: true,
    ...allOf(takenLora),
    ...allOf(missingLora),
  })
  .extend({
    type: z.literal("lora"),
    modulesToSave: listOrNull(z.string().min(1)),
    layersToTransform: listOrNull(z.int().nonnegative()),
    layersPattern: listOrNull(z.string().min(1)),
    loftqConfig: z.strictObject({ loftqBits: count, loftqIter: count }).nullable().default(null),
  });

/** A PEFT adapter folder to continue. */
export const savedAdapterSchema = z.strictObject({ type: z.literal("saved"), path });

/** A group of a run: the engine's groups that learn at one rate and decay alike. */
export const parameterGroupSchema = z.strictObject({
  /** Name in events and checkpoints. */
  name: z.string().min(1),
  /** The engine's groups that belong to it. */
  parameters: z.array(z.enum(parameterKinds)).min(1),
  /** Of these kinds only tensors in whose name this regular expression finds something; the first such group wins. Default: all that are left. */
  pattern: z.string().min(1).optional(),
  /** Peak learning rate. */
  rate: z.number().nonnegative(),
  /** Weight decay. */
  decay: z.number().nonnegative(),
});

/** How the frozen weights are held: the options of {@link modelConfigSchema}, and where quantised matrices are kept. */
export const weightsSchema = modelConfigSchema
  .omit({ chatTemplate: true, addTokens: true, addSpecialTokens: true, ...allOf(takenModel), ...allOf(missingModel) })
  .extend({
    /** Folder in which quantised matrices are kept for the next load; made where absent. Default null: nothing is kept. */
    cacheDir: path.nullable().default(null),
  });

/** What a training session is made of. */
export const sessionOptionsSchema = z.strictObject({
  /** A new LoRA adapter, a PEFT adapter folder to continue, or null: full fine-tuning. */
  adapter: z.discriminatedUnion("type", [loraOptionsSchema, savedAdapterSchema]).nullable(),
  /** What makes a step of a gradient. */
  optimizer: optimizerSchema,
  /** Groups of the run; each trained tensor belongs to exactly one of them. */
  parameterGroups: z.array(parameterGroupSchema).min(1),
  /** Recompute layers in backward instead of keeping their activations. */
  gradientCheckpointing: z.boolean(),
  /** Seeds the adapter's first values. */
  seed: z.int().nonnegative(),
  /** Noise on the embeddings of training passes, which then need a batch's rowIds. Default: none. */
  neftuneNoiseAlpha: z.number().nonnegative().optional(),
  /** Rows of embedding and head, more than the model has: new tokens, whose rows begin as the mean. Default: the model's, or those of the adapter that is continued. */
  resizeTokenEmbeddings: z.int().positive().optional(),
  /** Share of what each block adds to the residual stream that training passes drop; they then need a batch's rowIds. Default 0. */
  residPdrop: z.number().min(0).lt(1).optional(),
});

/** What a generator is made of. */
export const generatorOptionsSchema = z.strictObject({
  /** A PEFT adapter folder to compute with. Default null: the base model alone. */
  adapter: savedAdapterSchema.nullable().default(null),
});

/** What the engine is told: how the weights are held, and what is trained on them. */
export const engineOptionsSchema = z.strictObject({
  weights: weightsSchema,
  ...sessionOptionsSchema.shape,
  /** Null: nothing is trained; `adapter: null` is then the base model alone. */
  optimizer: optimizerSchema.nullable(),
  /** Groups of the run; none without an optimizer. */
  parameterGroups: z.array(parameterGroupSchema),
});

/** A new LoRA adapter (names and meaning of PEFT's LoraConfig). */
export type LoraOptions = z.input<typeof loraOptionsSchema>;
/** What a training session is made of. */
export type SessionOptions = z.input<typeof sessionOptionsSchema>;
/** What a generator is made of. */
export type GeneratorOptions = z.input<typeof generatorOptionsSchema>;
/** What the engine is told of a session. */
export type EngineOptions = z.output<typeof engineOptionsSchema>;
/** A group of a run. */
export type ParameterGroupOptions = z.output<typeof parameterGroupSchema>;
/** A new adapter, a saved one, or none. */
export type AdapterOptions = z.output<typeof sessionOptionsSchema>["adapter"];

/** What PEFT's loftq_config says, whichever spelling its names have. */
function loftqOf(given: Readonly<Record<string, number>> | null): { loftqBits: number; loftqIter: number } | null {
  const named = Object.fromEntries(Object.entries(given ?? {}).map(([name, value]) => [canonicalName(name), value]));
  return Object.keys(named).length === 0 ? null : { loftqBits: 4, loftqIter: 1, ...named };
}

/** The adapter that options ask for: null for full fine-tuning. */
export function adapterOptions(peft: ParsedLoraConfig): AdapterOptions {
  const { fullFinetuning, adapterPath, randomState: _, ...config } = effective(loraConfigSchema, peft);
  if (fullFinetuning) return null;
  if (adapterPath !== null) return { type: "saved", path: adapterPath };
  const list = <T extends string | number>(value: T | T[] | null) =>
    value === null || typeof value === "object" ? value : [value];
  return {
    type: "lora",
    ...config,
    modulesToSave: list(config.modulesToSave),
    layersToTransform: list(config.layersToTransform),
    layersPattern: list(config.layersPattern),
    loftqConfig: loftqOf(config.loftqConfig),
  };
}

// What crosses to the engine, as one JSON value; the engine's structs have the same fields.
import { z } from "zod";
import { loraConfigSchema, type ParsedLoraConfig } from "./lora.ts";
import { modelConfigSchema } from "./model.ts";
import { optimizerSchema } from "./optimizer.ts";

/** The engine's own groups of trained tensors: matrices, norms and biases, whole embeddings, B of an adapter with its magnitudes. */
export const parameterKinds = ["decay", "no_decay", "embedding", "lora_b"] as const;

/** One of the engine's own groups of trained tensors. */
export type ParameterKind = (typeof parameterKinds)[number];

const oneOrMany = <T extends z.ZodType>(item: T) => z.array(item).min(1).nullable();

/** A new LoRA adapter: the options of {@link loraConfigSchema} that describe it. */
export const newAdapterSchema = loraConfigSchema.omit({ fullFinetuning: true, adapterPath: true, bias: true }).extend({
  type: z.literal("lora"),
  modulesToSave: oneOrMany(z.string().min(1)),
  layersToTransform: oneOrMany(z.int().nonnegative()),
  layersPattern: oneOrMany(z.string().min(1)),
});

/** A PEFT adapter folder to continue. */
export const savedAdapterSchema = z.strictObject({ type: z.literal("saved"), path: z.string().min(1) });

/** A group of a run: the engine's groups that learn at one rate and decay alike. */
export const parameterGroupSchema = z.strictObject({
  /** Name in events and checkpoints. */
  name: z.string().min(1),
  /** The engine's groups that belong to it. */
  parameters: z.array(z.enum(parameterKinds)).min(1),
  /** Peak learning rate. */
  rate: z.number().nonnegative(),
  /** Weight decay. */
  decay: z.number().nonnegative(),
});

/** How the frozen weights are held: the options of {@link modelConfigSchema}, and where quantised matrices are kept. */
export const weightsSchema = modelConfigSchema.extend({
  /** Folder in which quantised matrices are kept for the next load. */
  cacheDir: z.string().min(1).nullable().default(null),
});

/** What a session is made of. */
export const sessionOptionsSchema = z.strictObject({
  /** A new LoRA adapter, a PEFT adapter folder to continue, or null: full fine-tuning, or with `optimizer: null` the base model alone. */
  adapter: z.discriminatedUnion("type", [newAdapterSchema, savedAdapterSchema]).nullable(),
  /** Null: nothing is trained; the session evaluates and generates. */
  optimizer: optimizerSchema.nullable(),
  /** Groups of the run; each trained tensor belongs to exactly one of them. Empty with `optimizer: null`. */
  parameterGroups: z.array(parameterGroupSchema),
  /** Recompute layers in backward instead of keeping their activations. */
  gradientCheckpointing: z.boolean(),
  /** Seeds the adapter's first values. */
  seed: z.int().nonnegative(),
});

/** The whole of it: how the weights are held, and what is trained on them. */
export const engineOptionsSchema = z.strictObject({ weights: weightsSchema, ...sessionOptionsSchema.shape });

/** What a session is made of. */
export type SessionOptions = z.output<typeof sessionOptionsSchema>;
/** A group of a run. */
export type ParameterGroupOptions = z.output<typeof parameterGroupSchema>;
/** A new adapter, a saved one, or none. */
export type AdapterOptions = SessionOptions["adapter"];

/** The adapter that options ask for: null for full fine-tuning. */
export function adapterOptions({ fullFinetuning, adapterPath, bias: _, ...config }: ParsedLoraConfig): AdapterOptions {
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
  };
}

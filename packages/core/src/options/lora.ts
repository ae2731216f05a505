// Options of the adapter.
import * as z from "zod";
import { count, grouped, noneIsDefault, path } from "./declare.ts";
import { missingLora, takenLora } from "./field/lora.ts";
import { canonicalName, nearestName } from "./names.ts";

/** A regular expression of module names; what is nearly "all-linear" was meant to be that. */
const expression = z
  .string()
  .min(1)
  .refine((text) => nearestName(text, ["all-linear"]) === null);
/** PiSSA by a number of iterations. */
const approximatePissa = z.string().regex(/^pissa_niter_\d{1,4}$/);
const names = z.array(z.string().min(1)).min(1);
const loftqNames = ["loftqBits", "loftqIter"];
const tokenIds = z.array(z.int().nonnegative()).min(1);

/** The adapter (names of PEFT's LoraConfig; `fullFinetuning` is Unsloth's full_finetuning). */
export const loraConfigSchema = z
  .strictObject({
    ...grouped("adapter", {
      r: count.default(16).describe("Rank of the adapter. Default 16 (Unsloth)."),
      loraAlpha: z
        .number()
        .positive()
        .default(16)
        .describe("Scale numerator: the adapter is scaled by loraAlpha / r. Default 16 (Unsloth)."),
      targetModules: z
        .union([z.literal("all-linear"), expression, z.array(z.string().min(1))])
        .default("all-linear")
        .describe(
          'Layers with an adapter: "all-linear" (all linear ones but the head), names or their endings such as q_proj, lm_head or embed_tokens, or a regular expression of whole names. Default all-linear (QLoRA, arXiv:2305.14314).',
        )
        .meta(noneIsDefault),
      targetParameters: names
        .nullable()
        .default(null)
        .describe(
          "Matrices of experts with an adapter, which are parameters and no layers: names or their endings, such as mlp.experts.gate_up_proj, mlp.experts.down_proj. targetModules [] leaves the layers out; not with loraDropout, loraBias, useDora. Default null (PEFT).",
        ),
      excludeModules: z
        .union([z.string().min(1), names])
        .nullable()
        .default(null)
        .describe(
          "Layers without an adapter though targeted: names, endings or a regular expression. Default null (PEFT).",
        ),
      loraDropout: z
        .number()
        .min(0)
        .lt(1)
        .default(0)
        .describe("Dropout probability on the adapter's input; none on embed_tokens. Default 0 (PEFT, Unsloth)."),
      bias: z
        .enum(["none", "all", "lora_only"])
        .default("none")
        .describe(
          "Biases of the model that are trained: lora_only means those of layers with an adapter. Default none (PEFT).",
        ),
      loraBias: z
        .boolean()
        .default(false)
        .describe(
          "Give B a bias, scaled as the adapter is; only where layers have biases can it be merged. Default false (PEFT).",
        ),
      useRslora: z
        .boolean()
        .default(false)
        .describe("Scale by loraAlpha / √r (arXiv:2312.03732). Default false (PEFT)."),
      useDora: z
        .boolean()
        .default(false)
        .describe(
          "Train the lengths of the weight's rows as well (DoRA, arXiv:2402.09353); not with embed_tokens. Default false (PEFT).",
        ),
      modulesToSave: z
        .union([z.string().min(1), names])
        .nullable()
        .default(null)
        .describe(
          "Modules that are fully trained and saved with the adapter, such as embed_tokens, lm_head. Default null (PEFT).",
        ),
      trainableTokenIndices: z
        .union([tokenIds, z.record(z.string().min(1), tokenIds)])
        .nullable()
        .default(null)
        .describe(
          "Tokens whose rows of embed_tokens are trained while all others stay; lists by module where lm_head has rows of its own. A head that is tied to the embedding has its rows. Default null (PEFT).",
        ),
      ensureWeightTying: z
        .boolean()
        .default(false)
        .describe(
          "Where the head is the embedding: let what is asked for one of them hold for both, so that they stay one matrix. Default false (PEFT).",
        ),
      rankPattern: z
        .record(z.string(), count)
        .default({})
        .describe("Other ranks, by regular expressions on the ends of names, such as up_proj. Default: none (PEFT)."),
      alphaPattern: z
        .record(z.string(), z.number().positive())
        .default({})
        .describe("Other values of loraAlpha, by regular expressions on the ends of names. Default: none (PEFT)."),
      layersToTransform: z
        .union([z.int().nonnegative(), z.array(z.int().nonnegative()).min(1)])
        .nullable()
        .default(null)
        .describe("Layers with an adapter, counted from 0; null is all. Default null (PEFT)."),
      layersPattern: z
        .union([z.string().min(1), names])
        .nullable()
        .default(null)
        .describe("Names of the lists that layersToTransform counts in. Default null: the first list (PEFT)."),
      initLoraWeights: z
        .union([z.boolean(), z.enum(["gaussian", "orthogonal", "pissa", "olora", "loftq"]), approximatePissa])
        .default(true)
        .describe(
          "First values: true (A uniform, B zero), gaussian (A normal, B zero), false (both uniform), orthogonal (B·A zero though neither is; even r), pissa (largest singular values, arXiv:2404.02948; pissa_niter_16 by 16 iterations, much faster), olora (QR, arXiv:2406.01775) or loftq (what quantising to four bits loses, arXiv:2310.08659); the last four leave another base, see docs/adapters.md. On embed_tokens A zero and B normal, or with false both normal. Default true (PEFT).",
        ),
      loftqConfig: z
        .record(z.string(), count)
        .refine((given) => Object.keys(given).every((name) => loftqNames.includes(canonicalName(name))))
        .nullable()
        .default({})
        .describe(
          "With initLoraWeights loftq: loftqBits, of which 4 (NF4 in blocks of 64) is the only one, and loftqIter, how often quantising and taking singular values alternate. Default {}: four bits, once (PEFT).",
        ),
      // A checkpoint holds the weights of the adapter; where they began no longer matters.
      randomState: z
        .int()
        .nonnegative()
        .nullable()
        .default(null)
        .describe(
          "Seed of the adapter's first values. Default null: seed (Unsloth's random_state is 3407, as seed is).",
        )
        .meta({ influence: "nothing" }),
      fullFinetuning: z
        .boolean()
        .default(false)
        .describe("Train every weight, without an adapter. Default false (Unsloth)."),
      // A checkpoint holds the weights of the adapter; where they began no longer matters.
      adapterPath: path
        .nullable()
        .default(null)
        .describe("Continue this PEFT adapter folder in place of a new adapter. Default null.")
        .meta({ influence: "nothing" }),
    }),
    ...grouped("taken", { ...takenLora, ...missingLora }),
  })
  .meta({
    title: "LoraConfig",
    description: "The adapter (names of PEFT's LoraConfig; `fullFinetuning` is Unsloth's full_finetuning).",
  });

/** Adapter options with their defaults. */
export type ParsedLoraConfig = z.output<typeof loraConfigSchema>;

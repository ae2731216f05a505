// Schema of the options by which a model's weights are held.
import * as z from "zod";
import { ownTemplates } from "../templates/own-templates.ts";
import { grouped, noneIsDefault } from "./declare.ts";
import { missingModel, takenModel } from "./field/model.ts";

/** Block sizes of NF4 (those of bitsandbytes from 64 on). */
const blockSizes = [64, 128, 256, 512, 1024, 2048, 4096] as const;

/** Texts of tokens. */
const tokens = z.array(z.string().min(1)).default([]).meta(noneIsDefault);

/**
 * How a model's frozen weights are held (names of transformers' `from_pretrained` and `BitsAndBytesConfig`, as TRL's ModelConfig
 * has them). A checkpoint that is already quantised is loaded as it is, whatever these say.
 */
export const modelConfigSchema = z
  .strictObject({
    ...grouped("data", {
      chatTemplate: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          `Chat template in place of the tokenizer's own, for base models without one: the text of a Jinja template, the path of one, or one of ${Object.keys(ownTemplates).join(", ")}. Saved with what is trained. Default null: the tokenizer's own (TRL's chat_template_path).`,
        ),
      addTokens: tokens.describe(
        "Tokens that the tokenizer gets besides its own, in this order: the next ids, so that ids it had stay what they were. Their rows begin as the mean of the others (transformers' mean_resizing); an adapter trains these rows alone, those of a head of its own too. Saved with what is trained. Default: none (tokenizer.add_tokens).",
      ),
      addSpecialTokens: tokens.describe(
        "The same for special tokens, after addTokens: they are left out of answers' text, and a chat template may write them, such as <|im_start|>, <|im_end|> for chatml on a base model. Default: none (tokenizer.add_special_tokens).",
      ),
    }),
    ...grouped("memory", {
      dtype: z
        .enum(["auto", "float32", "bfloat16"])
        .default("auto")
        .describe(
          "Storage of the frozen matrices that are not quantised; on a GPU also what is computed in, while the CPU computes in float32 whatever it is. Default auto: bfloat16 on a GPU and with 4-bit layers, else float32.",
        )
        .meta(noneIsDefault),
      loadIn4bit: z
        .boolean()
        .default(false)
        .describe(
          "Hold the linear layers in four bits (QLoRA, arXiv:2305.14314): an eighth of the memory, and only an adapter can be trained. Default false (transformers).",
        ),
      bnb4bitQuantType: z
        .enum(["nf4"])
        .default("nf4")
        .describe("Four-bit type: NormalFloat 4. Default nf4 (QLoRA; BitsAndBytesConfig has fp4)."),
      bnb4bitUseDoubleQuant: z
        .boolean()
        .default(true)
        .describe("Hold the scales of the blocks in eight bits. Default true (QLoRA; BitsAndBytesConfig has false)."),
      bnb4bitBlocksize: z
        .union(blockSizes.map((size) => z.literal(size)))
        .default(64)
        .describe("Weights that share a scale: 64, 128, 256, 512, 1024, 2048 or 4096. Default 64 (bitsandbytes)."),
    }),
    ...grouped("taken", { ...takenModel, ...missingModel }),
  })
  .meta({
    title: "ModelConfig",
    description:
      "How a model's frozen weights are held (names of transformers' from_pretrained and BitsAndBytesConfig). A checkpoint that is already quantised is loaded as it is, whatever these say.",
  });

/** Options with their defaults. */
export type ParsedModelConfig = z.output<typeof modelConfigSchema>;

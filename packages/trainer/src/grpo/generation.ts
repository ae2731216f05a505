// A generation: its completions with all that training on them needs, as it is kept in memory and in checkpoints.
import { type Example, IGNORE_INDEX } from "@tunesmith/data";
import * as z from "zod";

/** A completion that is trained on. */
export interface GeneratedCompletion {
  /** Index of the row whose prompt it answers. */
  row: number;
  ids: Int32Array;
  /** 0 for tokens that are never trained; null: all are. */
  trained: Uint8Array | null;
  /** Whether nothing of it is trained, for it was cut (`maskTruncatedCompletions`). */
  isMasked: boolean;
  advantage: number;
  /** log p of each trained token by the model that wrote it; null where that is the model in hand. */
  oldLogProbs: Float32Array | null;
  /** log p of each trained token by the reference; null where none is asked. */
  referenceLogProbs: Float32Array | null;
}

/** The completions of one generation, those of a prompt next to each other. */
export interface Generation {
  /** From 0. */
  generation: number;
  /** Step before whose update it was sampled. */
  step: number;
  completions: GeneratedCompletion[];
}

/** How many tokens of a completion are trained. */
export function trainedTokens({ ids, trained, isMasked }: GeneratedCompletion): number {
  if (isMasked) return 0;
  return trained === null ? ids.length : trained.reduce((sum, flag) => sum + flag, 0);
}

/** Prompt and completion as one sequence, of which the trained tokens are supervised; null where nothing is trained. */
export function exampleOf(completion: GeneratedCompletion, promptIds: Int32Array): Example | null {
  const { row, ids, trained } = completion;
  if (trainedTokens(completion) === 0) return null;
  const all = new Int32Array(promptIds.length + ids.length);
  all.set(promptIds);
  all.set(ids, promptIds.length);
  const labels = new Int32Array(all.length).fill(IGNORE_INDEX);
  for (const [t, id] of ids.entries()) if (trained === null || trained[t] === 1) labels[promptIds.length + t] = id;
  return { ids: all, labels, turns: 2, length: all.length, rowId: row, truncated: false };
}

/** Numbers as text: every bit of them, in a third of the room of a list. */
const bytes = (array: Int32Array | Float32Array | Uint8Array) =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

const integers = z.base64().transform((text) => new Int32Array(aligned(text)));
const floats = z.base64().transform((text) => new Float32Array(aligned(text)));
const flags = z.base64().transform((text) => new Uint8Array(aligned(text)));

function aligned(text: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(text, "base64")).buffer;
}

/** A {@link Generation} as a checkpoint has it. */
export const generationSchema = z.object({
  generation: z.int().nonnegative(),
  step: z.int().nonnegative(),
  completions: z.array(
    z.object({
      row: z.int().nonnegative(),
      ids: integers,
      trained: flags.nullable(),
      isMasked: z.boolean(),
      advantage: z.number(),
      oldLogProbs: floats.nullable(),
      referenceLogProbs: floats.nullable(),
    }),
  ),
});

/** The same to be written. */
export function savedGeneration({ generation, step, completions }: Generation): unknown {
  const text = (array: Int32Array | Float32Array | Uint8Array | null) => (array === null ? null : bytes(array));
  return {
    ...{ generation, step },
    completions: completions.map(({ ids, trained, oldLogProbs, referenceLogProbs, ...rest }) => ({
      ...rest,
      ids: text(ids),
      trained: text(trained),
      oldLogProbs: text(oldLogProbs),
      referenceLogProbs: text(referenceLogProbs),
    })),
  };
}

// Log-probabilities by a reference: what the model would say without what is trained.
import type { Generator, LanguageModel, ParsedLoraConfig } from "@tunesmith/core";
import type { Pass } from "./sequence-values.ts";

/** What says how likely the tokens of some passes are by a reference. */
export interface ReferenceModel {
  /** log p of every supervised token, 0 elsewhere: `[T]` per pass, in nats; at a temperature other than 1 where one is given. */
  logProbs(session: Generator, passes: readonly Pass[], temperature?: number): Promise<Float32Array[]>;
}

/** The model itself with its adapter switched off: the base model to the bit, and no weight is held twice. */
export const adapterOff: ReferenceModel = {
  async logProbs(session, passes, temperature) {
    await session.disableAdapter();
    try {
      return await columnsOf(session, passes, temperature);
    } finally {
      await session.enableAdapter();
    }
  },
};

/** Name of the frozen copy among the adapters of a session. */
const copyName = "reference";

/** A frozen copy of the adapter that is continued, as its folder has it: a second, small adapter on the same base. */
export function frozenAdapter(path: string): ReferenceModel {
  return {
    async logProbs(session, passes, temperature) {
      const { names, active } = await session.adapters();
      if (!names.includes(copyName)) await session.loadAdapter(path, copyName);
      await session.setAdapter(copyName);
      try {
        return await columnsOf(session, passes, temperature);
      } finally {
        if (active !== null) await session.setAdapter(active);
      }
    },
  };
}

/** A frozen copy of a whole model: weights of its own, read when they are first needed. */
export interface FrozenModel extends ReferenceModel {
  /** Bytes that it has held at the most. */
  peakBytes(): number;
  close(): Promise<void>;
}

/** A frozen copy of a whole model, for where no adapter can be switched off. */
export function frozenModel(model: Pick<LanguageModel, "createGenerator">): FrozenModel {
  let opening: Promise<Generator> | null = null;
  let copy: Generator | null = null;
  return {
    async logProbs(_, passes, temperature) {
      opening ??= model.createGenerator();
      copy = await opening;
      return columnsOf(copy, passes, temperature);
    },
    peakBytes: () => copy?.memory().peak ?? 0,
    async close() {
      (await opening?.catch(() => null))?.dispose();
    },
  };
}

/** A reference, and what holds it open. */
export interface HeldReference {
  reference: ReferenceModel;
  /** A copy of the model next to the one that is trained; absent where there is none. */
  frozenCopy?: FrozenModel;
}

/** What a run on an adapter or on all weights began with. */
export function referenceFor(
  model: Pick<LanguageModel, "createGenerator">,
  { adapterPath, fullFinetuning }: Pick<ParsedLoraConfig, "adapterPath" | "fullFinetuning">,
): HeldReference {
  if (adapterPath !== null) return { reference: frozenAdapter(adapterPath) };
  if (!fullFinetuning) return { reference: adapterOff };
  const reference = frozenModel(model);
  return { reference, frozenCopy: reference };
}

/** log p of the supervised tokens of each pass. */
export async function columnsOf(
  session: Pick<Generator, "logProbs">,
  passes: readonly Pass[],
  temperature = 1,
): Promise<Float32Array[]> {
  const columns: Float32Array[] = [];
  for (const { batch } of passes) columns.push((await session.logProbs(batch, { temperature })).logProb);
  return columns;
}

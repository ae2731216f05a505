// `tunesmith merge`: a model with its adapter merged in, as a Hugging Face folder.
import { expandHome, parseSize, terminalText } from "@tunesmith/core";
import {
  compareMerged,
  loadModel,
  type MergeSource,
  mergeDtypes,
  mergeModel,
  sixteenBitDtype,
} from "@tunesmith/native";
import { display } from "../view/display.ts";
import { percent, plural, significant } from "../view/format.ts";
import type { Streams } from "./train.ts";
import { choice, required, runWrite, sourceOf } from "./write.ts";

/** The prompt of the check where none is given: any text would do. */
const defaultPrompt = "Write a short letter to a friend who has moved to another town.";

/** `tunesmith merge`. Gives the exit code. */
export async function merge(target: string, flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { out } = streams;
  const output = expandHome(required("--output", flags.output, "the folder to write"));
  const source = await sourceOf(target, flags);
  const dtype =
    flags.dtype === undefined ? await sixteenBitDtype(source.model) : choice("--dtype", flags.dtype, mergeDtypes);
  const maxShardBytes = parseSize("--max-shard-size", (flags.maxShardSize as string | undefined) ?? "5GB");
  const options = { ...source, output, dtype, maxShardBytes, overwrite: flags.overwrite === true };
  let notes: string[] = [];
  const code = await runWrite("merge", streams, async (control) => {
    notes = await mergeModel({ ...options, ...control });
  });
  if (code !== 0) return code;
  out.write(`merged   ${display(output)} (${dtype}, base ${source.base})\n`);
  for (const note of notes) out.write(`note     ${terminalText(note)}\n`);
  if (source.adapter === null) out.write("check    none: without an adapter there is nothing to compare\n");
  else if (flags.check !== false)
    await check(source, output, (flags.prompt as string | undefined) ?? defaultPrompt, out);
  return 0;
}

/** Says how far the logits of a prompt are from those of the model with its adapter on. */
async function check(source: MergeSource, merged: string, prompt: string, out: Streams["out"]): Promise<void> {
  const { tokenizer } = await loadModel(source.model);
  const messages = [{ role: "user", content: prompt }];
  const [ids] =
    tokenizer.info.chatTemplate === null
      ? await tokenizer.encodeTexts([prompt])
      : (await tokenizer.encodeConversations([{ messages }], { addGenerationPrompt: true })).map((row) => row.ids);
  const { tokens, largestDifference, largestLogit, top1Agreement } = await compareMerged({
    ...source,
    merged,
    ids: ids ?? new Int32Array(),
  });
  out.write(
    `check    largest logit difference ${significant(largestDifference)} (largest logit ${significant(largestLogit)}), ` +
      `same likeliest token at ${percent(top1Agreement)} of ${plural(tokens, "position")}, against the adapter on its base\n`,
  );
}

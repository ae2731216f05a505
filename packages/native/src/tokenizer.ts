// Door A over the binding.
import {
  type Conversation,
  type ConversationNote,
  type ConversationOptions,
  chatTemplateText,
  type EncodedConversation,
  type EncodedPair,
  type LengthOptions,
  slices,
  type Tokenizer,
  type TokenizerInfo,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { array, boolean, integer, json, object, path, string, typedArray } from "./check.ts";
import { requireTokens } from "./template-tokens.ts";

/** How a tokenizer is read. */
export interface LoadTokenizerOptions {
  /** Chat template in place of its own: text, path, or one of our own by name. Default null: its own. */
  chatTemplate?: string | null;
}

/**
 * Reads the tokenizer of a Hugging Face folder (`tokenizer.json` and its companions) or of a GGUF file, without the model.
 * Rejects with `ModelFileError`, `TokenizerError` or `TemplateError`.
 */
export async function loadTokenizer(source: string, options: LoadTokenizerOptions = {}): Promise<Tokenizer> {
  const place = path("loadTokenizer.path", source);
  const { chatTemplate: named = null } = object("loadTokenizer.options", options);
  const template = named === null ? null : await chatTemplateText(string("loadTokenizer.chatTemplate", named));
  const tokenizer = new NativeTokenizer(await nativeAsync((library) => library.openTokenizer(place, template)));
  if (template !== null) await requireTokens(tokenizer);
  return tokenizer;
}

/** The end of the year 9999, in seconds since 1970. */
const latestMoment = 253_402_300_799;

/** Door A over the binding. Batches are tokenised off the event loop, on all processors. */
export class NativeTokenizer implements Tokenizer {
  readonly info: TokenizerInfo;
  readonly #inner: Native.Tokenizer;

  constructor(inner: Native.Tokenizer) {
    this.#inner = inner;
    this.info = native(() => inner.info);
  }

  async encodeConversations(
    conversations: readonly Conversation[],
    options: ConversationOptions = {},
  ): Promise<EncodedConversation[]> {
    const place = "encodeConversations";
    const texts: string[] = [];
    for (const [n, row] of array(`${place}.conversations`, conversations).entries()) {
      texts.push(json(`${place}.conversations[${n}]`, row));
      if (slices.isOver) await slices.turn();
    }
    const checked = checkedOptions(place, options);
    const encoded = await nativeAsync(() => this.#inner.encodeConversations(texts, checked));
    const rows = rowsOf(encoded.rows).map((ids, n): EncodedConversation => {
      const [first, last] = [encoded.turnStarts[n], encoded.turnStarts[n + 1]] as [number, number];
      return {
        ...{ ids, spans: encoded.spans.subarray(2 * first, 2 * last), turns: encoded.turns.subarray(first, last) },
        ...(checked.findToolCalls && { toolCalls: rangesOf(encoded.toolCalls, n) }),
        ...(checked.findReasoning && { reasoning: rangesOf(encoded.reasoning, n) }),
      };
    });
    for (const { row, kind, name } of encoded.notes) {
      const noted = rows[row] as EncodedConversation;
      noted.notes = [...(noted.notes ?? []), { kind: kind as ConversationNote["kind"], name }];
    }
    return rows;
  }

  async encodePairs(
    pairs: readonly { prompt: string; completion: string }[],
    options: LengthOptions = {},
  ): Promise<EncodedPair[]> {
    const column = (name: "prompt" | "completion") =>
      array("encodePairs.pairs", pairs).map((pair, n) =>
        string(`encodePairs.pairs[${n}].${name}`, object(`encodePairs.pairs[${n}]`, pair)[name]),
      );
    const [prompts, completions] = [column("prompt"), column("completion")];
    const maxTokens = most("encodePairs", object("encodePairs.options", options).maxTokens);
    const encoded = await nativeAsync(() => this.#inner.encodePairs(prompts, completions, maxTokens));
    return rowsOf(encoded.rows).map((ids, n) => ({
      ids,
      promptLength: encoded.promptLengths[n] as number,
      prefixMismatch: encoded.prefixMismatches[n] === 1,
    }));
  }

  async encodeTexts(
    texts: readonly string[],
    options: LengthOptions & { appendEos?: boolean } = {},
  ): Promise<Int32Array[]> {
    const checked = array("encodeTexts.texts", texts).map((text, n) => string(`encodeTexts.texts[${n}]`, text));
    const { appendEos = false, maxTokens } = object("encodeTexts.options", options);
    const withEos = boolean("encodeTexts.appendEos", appendEos);
    const needed = most("encodeTexts", maxTokens);
    return rowsOf(await nativeAsync(() => this.#inner.encodeTexts(checked, withEos, needed)));
  }

  decode(ids: Int32Array, options: { skipSpecialTokens?: boolean } = {}): string {
    typedArray("decode.ids", ids, "Int32Array");
    const skip = boolean("decode.skipSpecialTokens", object("decode.options", options).skipSpecialTokens ?? true);
    return native(() => this.#inner.decode(ids, skip));
  }

  async fingerprint(options: ConversationOptions = {}): Promise<string> {
    const checked = checkedOptions("fingerprint", options);
    return nativeAsync(() => this.#inner.fingerprint(checked));
  }

  mapFile(file: string): Promise<Uint8Array> {
    const place = path("mapFile.path", file);
    return nativeAsync((library) => library.mapFile(place));
  }

  render(conversation: Conversation, options: { addGenerationPrompt?: boolean } = {}): string {
    const prompt = boolean(
      "render.addGenerationPrompt",
      object("render.options", options).addGenerationPrompt ?? false,
    );
    const text = json("render.conversation", conversation);
    return native(() => this.#inner.render(text, prompt));
  }
}

function checkedOptions(place: string, options: ConversationOptions): Native.ConversationOptions {
  const {
    addGenerationPrompt = false,
    moment = null,
    sanitizeControlTokens = false,
    findToolCalls = false,
    findReasoning = false,
    maxTokens = null,
  } = object(`${place}.options`, options);
  return {
    addGenerationPrompt: boolean(`${place}.addGenerationPrompt`, addGenerationPrompt),
    sanitizeControlTokens: boolean(`${place}.sanitizeControlTokens`, sanitizeControlTokens),
    findToolCalls: boolean(`${place}.findToolCalls`, findToolCalls),
    findReasoning: boolean(`${place}.findReasoning`, findReasoning),
    ...(moment !== null && { moment: integer(`${place}.moment`, moment, 0, latestMoment) }),
    ...(maxTokens !== null && { maxTokens: most(place, maxTokens) as number }),
  };
}

/** As many ids as are needed of a row; undefined for all. */
function most(place: string, maxTokens: number | null | undefined): number | undefined {
  return maxTokens === null || maxTokens === undefined
    ? undefined
    : integer(`${place}.maxTokens`, maxTokens, 1, 2 ** 31 - 1);
}

/** Rows that came end to end: views of the memory of all, since as many pieces of memory as rows are a third of the work of a batch. */
function rowsOf({ ids, starts }: Native.EncodedRows): Int32Array[] {
  return Array.from({ length: starts.length - 1 }, (_, row) => ids.subarray(starts[row], starts[row + 1]));
}

/** Ranges of a row: start, end, start, end, … */
function rangesOf({ bounds, starts }: Native.EncodedRanges, row: number): Int32Array {
  const [first, last] = [starts[row], starts[row + 1]] as [number, number];
  return bounds.subarray(2 * first, 2 * last);
}

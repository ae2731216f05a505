// A tokenizer and conversations that are made on the spot, of words of syllables.
import { xorshift } from "./random-model.ts";

const special = ["<|pad|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"];
const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** GPT-2's letters for bytes: printable ones stand for themselves, the others follow from U+0100. */
function byteLetters(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    if (isPrintable(byte)) return String.fromCharCode(byte);
    others += 1;
    return String.fromCharCode(255 + others);
  });
}

/** Words of one to three syllables. */
function wordsOf(count: number): string[] {
  const next = xorshift(11);
  const one = (letters: string) => letters[next() % letters.length] as string;
  const found = new Set<string>();
  while (found.size < count) {
    const syllables = 1 + (next() % 3);
    found.add(Array.from({ length: syllables }, () => one("bdfgklmnprstv") + one("aeiou")).join(""));
  }
  return [...found];
}

const words = wordsOf(600);

/** The files of a byte-level BPE that merges each of these words from its first letter on, with and without a space before it. */
export function tokenizerFiles(): Record<string, string> {
  const vocabulary = new Map([...special, ...byteLetters()].map((token, id) => [token, id]));
  const merges = new Map<string, [string, string]>();
  for (const word of words.flatMap((text) => [text, `Ġ${text}`]))
    for (let end = 1; end < word.length; end += 1) {
      const merged = word.slice(0, end + 1);
      if (merges.has(merged)) continue;
      merges.set(merged, [word.slice(0, end), word[end] as string]);
      vocabulary.set(merged, vocabulary.size);
    }
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: "1.0",
    added_tokens: special.map((content, id) => {
      const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
      return { id, content, ...plain, special: true };
    }),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab: Object.fromEntries(vocabulary), merges: [...merges.values()] },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...{ bos_token: "<|im_start|>", eos_token: "<|im_end|>", pad_token: "<|pad|>" },
    chat_template: chatTemplate,
  };
  return { "tokenizer.json": JSON.stringify(tokenizer), "tokenizer_config.json": JSON.stringify(config) };
}

/** Conversations of a question and an answer, of about 200 words together: the lengths of GSM8K's rows. */
export function conversations(count: number) {
  const next = xorshift(5);
  const text = (least: number, more: number) =>
    Array.from({ length: least + (next() % more) }, () => words[next() % words.length]).join(" ");
  return Array.from({ length: count }, () => ({
    messages: [
      { role: "user", content: text(40, 90) },
      { role: "assistant", content: text(60, 110) },
    ],
  }));
}

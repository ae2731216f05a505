// Which script a text is written in, and in which language, as far as a few words tell.

/** Scripts, by Unicode. */
const scripts: readonly (readonly [string, RegExp])[] = [
  ["Latin", /\p{Script=Latin}/gu],
  ["Cyrillic", /\p{Script=Cyrillic}/gu],
  ["Greek", /\p{Script=Greek}/gu],
  ["Arabic", /\p{Script=Arabic}/gu],
  ["Hebrew", /\p{Script=Hebrew}/gu],
  ["Devanagari", /\p{Script=Devanagari}/gu],
  ["Bengali", /\p{Script=Bengali}/gu],
  ["Tamil", /\p{Script=Tamil}/gu],
  ["Thai", /\p{Script=Thai}/gu],
  ["Hangul", /\p{Script=Hangul}/gu],
  ["Japanese", /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ["Han", /\p{Script=Han}/gu],
  ["Armenian", /\p{Script=Armenian}/gu],
  ["Georgian", /\p{Script=Georgian}/gu],
];

/** Letters below which a text tells nothing. */
const fewLetters = 6;

/** The script of more than half of a text's letters; null where there is none, or few letters. */
export function scriptOf(text: string): string | null {
  const start = text.slice(0, 4_000);
  const counts = scripts.map(([name, letters]) => [name, start.match(letters)?.length ?? 0] as const);
  const count = (name: string) => counts.find(([known]) => known === name)?.[1] ?? 0;
  // A Japanese text is written in three scripts, one of which is Han.
  const japanese = count("Japanese") > 0 ? count("Japanese") + count("Han") : 0;
  const all = counts.reduce((sum, [, letters]) => sum + letters, 0);
  if (all < fewLetters) return null;
  if (japanese > all / 2) return "Japanese";
  return counts.find(([, letters]) => letters > all / 2)?.[0] ?? null;
}

/** Words that are frequent in one language of the Latin script and rare in the others. */
const frequent: readonly (readonly [string, readonly string[]])[] = [
  [
    "English",
    ["the", "and", "of", "is", "to", "that", "are", "with", "for", "this", "what", "how", "you", "it", "was"],
  ],
  [
    "German",
    ["der", "die", "und", "das", "ist", "nicht", "ein", "eine", "mit", "von", "wie", "auf", "den", "für", "ich"],
  ],
  [
    "French",
    [
      "la",
      "de",
      "un",
      "le",
      "les",
      "et",
      "est",
      "une",
      "des",
      "dans",
      "pour",
      "que",
      "qui",
      "pas",
      "du",
      "sur",
      "quelle",
      "vous",
    ],
  ],
  [
    "Spanish",
    [
      "la",
      "de",
      "un",
      "y",
      "el",
      "los",
      "las",
      "es",
      "una",
      "que",
      "del",
      "por",
      "para",
      "con",
      "cómo",
      "qué",
      "se",
      "como",
      "su",
    ],
  ],
  [
    "Italian",
    [
      "il",
      "che",
      "di",
      "è",
      "una",
      "sono",
      "della",
      "gli",
      "nel",
      "questo",
      "qual",
      "delle",
      "anche",
      "perché",
      "cosa",
    ],
  ],
  [
    "Portuguese",
    ["os", "que", "não", "uma", "para", "em", "são", "você", "é", "dos", "da", "mais", "isso", "qual", "pela"],
  ],
  ["Dutch", ["het", "een", "van", "en", "niet", "dat", "zijn", "voor", "met", "wat", "hoe", "de", "op", "ook", "aan"]],
  ["Swedish", ["och", "är", "att", "det", "som", "på", "för", "inte", "med", "av", "hur", "vad", "till", "ett", "jag"]],
  [
    "Polish",
    ["się", "nie", "jest", "na", "w", "że", "jak", "czy", "dla", "przez", "oraz", "są", "lub", "który", "czym"],
  ],
  [
    "Turkish",
    ["ve", "bir", "bu", "için", "ne", "ile", "nasıl", "değil", "olarak", "daha", "mi", "çok", "gibi", "olan", "nedir"],
  ],
  [
    "Indonesian",
    [
      "yang",
      "dan",
      "di",
      "adalah",
      "untuk",
      "dengan",
      "ini",
      "itu",
      "tidak",
      "dari",
      "apa",
      "bagaimana",
      "pada",
      "dalam",
      "ke",
    ],
  ],
];

/** Words that must be known of a text, the share of all that they are, and how much more often they must be than those of the next language. */
const least = { words: 2, share: 0.12, lead: 2 };

/** What each frequent word says of each language: less, the more languages share it. */
const weights = new Map<string, Map<string, number>>();
for (const [name, words] of frequent)
  for (const word of words) {
    const shared = frequent.filter(([, others]) => others.includes(word)).length;
    const of = weights.get(word) ?? new Map<string, number>();
    weights.set(word, of.set(name, 1 / shared));
  }

/** The language of a text: by its script, among those in Latin by their frequent words. Null where that does not tell. */
export function languageOf(text: string): string | null {
  const script = scriptOf(text);
  if (script !== "Latin") return script;
  const words =
    text
      .slice(0, 4_000)
      .toLowerCase()
      .match(/\p{L}+/gu) ?? [];
  const sums = new Map<string, number>();
  for (const word of words)
    for (const [name, weight] of weights.get(word) ?? []) sums.set(name, (sums.get(name) ?? 0) + weight);
  const [[name, most] = ["", 0], [, next] = ["", 0]] = [...sums].sort((a, b) => b[1] - a[1]);
  return most >= Math.max(least.words, least.share * words.length, least.lead * next) ? name : null;
}

/** A word of letters that look alike in two scripts, Latin and Cyrillic; null for none. */
export function wordOfTwoScripts(text: string): string | null {
  if (!/\p{Script=Cyrillic}/u.test(text) || !/\p{Script=Latin}/u.test(text)) return null;
  const words = text.match(/\p{L}{3,}/gu) ?? [];
  return words.find((word) => /\p{Script=Cyrillic}/u.test(word) && /\p{Script=Latin}/u.test(word)) ?? null;
}

// Words of a text, by Unicode.

const segmenter = new Intl.Segmenter(undefined, { granularity: "word" });

/** How many words a text has, in any script. */
export function countWords(text: string): number {
  // White space tells as well where there is some, and is much faster.
  if (/^[\p{ASCII}]*$/u.test(text)) return text.split(/[^\p{L}\p{N}'-]+/u).filter((word) => word !== "").length;
  let words = 0;
  for (const { isWordLike } of segmenter.segment(text)) words += Number(isWordLike === true);
  return words;
}

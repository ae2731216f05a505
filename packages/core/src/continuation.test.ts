import { expect, test } from "vitest";
import { Continuation, firstStop } from "./continuation.ts";
import { codes, endOfTurn, letterTokenizer } from "./testing/letter-tokenizer.ts";

function written(text: string, stop: readonly string[]): Continuation {
  const continuation = new Continuation(letterTokenizer, stop);
  for (const tokenId of codes(text)) if (continuation.add({ tokenId, finishReason: null })) return continuation;
  continuation.add({ tokenId: endOfTurn, finishReason: "stop" });
  return continuation;
}

test("a text ends before the first stop, whichever of them that is, however it comes", () => {
  expect(written("one two", ["two", " t"])).toMatchObject({ text: "one", finishReason: "stop" });
  expect(written("aaab", ["aab"])).toMatchObject({ text: "a", finishReason: "stop" });
  expect(written("none of them", ["\n"])).toMatchObject({ text: "none of them", finishReason: "stop" });
  expect(firstStop("abcabc", ["c", "b"], 2)).toBe(2);
  expect(firstStop("abc", ["d"])).toBeNull();
});

test("the token at the limit is text, and one after the end counts for nothing", () => {
  const continuation = new Continuation(letterTokenizer, []);
  expect(continuation.add({ tokenId: 97, finishReason: null })).toBe(false);
  expect(continuation.add({ tokenId: 98, finishReason: "length" })).toBe(true);
  expect(continuation.add({ tokenId: 99, finishReason: null })).toBe(false);
  expect(continuation).toMatchObject({ text: "ab", finishReason: "length" });
});

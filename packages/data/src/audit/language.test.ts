import { expect, test } from "vitest";
import { languageOf, scriptOf, wordOfTwoScripts } from "./language.ts";

test.each([
  ["What is the capital of France? It is Paris.", "English"],
  ["Wie ist das Wetter in der Stadt?", "German"],
  ["Quelle est la capitale de la France ?", "French"],
  ["¿Cómo se llama el perro de los vecinos?", "Spanish"],
  ["Qual è il nome della città che non dorme?", "Italian"],
  ["Кто ты такой?", "Cyrillic"],
  ["東京はどこですか", "Japanese"],
  ["你好世界你好世界", "Han"],
  ["let index = values[0] + 1;", null],
  ["3.14159", null],
])("%s", (text, language) => {
  expect(languageOf(text)).toBe(language);
});

test("a script is that of most letters, where there are some", () => {
  expect(scriptOf("Привет, it is me, друзья мои")).toBe("Cyrillic");
  expect(scriptOf("abc 123")).toBeNull();
});

test("letters that look alike are found inside a word", () => {
  expect(wordOfTwoScripts("a p\u0430ssword and Δx")).toBe("p\u0430ssword");
  expect(wordOfTwoScripts("Это слово word")).toBeNull();
});

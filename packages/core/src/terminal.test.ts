import { expect, test } from "vitest";
import { DataError, errorFromCode } from "./errors.ts";
import { terminalText } from "./terminal.ts";

/** Nothing that a terminal would act on. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const safe = /^[^\0-\x08\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*$/u;

test("no control character, mark of direction or half character is left, and the rest stays", () => {
  const all = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code)).join(" ");
  expect(terminalText(all)).toMatch(safe);
  expect(terminalText("\u001b]0;title\u0007\u001b[31m\u009b2K\r\u202egnp.exe\ud800")).toBe(
    "\\u001b]0;title\\u0007\\u001b[31m\\u009b2K\\u000d\\u202egnp.exe\\ud800",
  );
  const plain = 'tab\t, line\n, ä 日本 שלום 👩‍👩‍👧 "quoted" \\n';
  expect(terminalText(plain)).toBe(plain);
});

test("JSON stays JSON of the same value", () => {
  const value = { text: "\u001b[2J\u007f\u009b\u202e\u2028\ud800\n" };
  const text = terminalText(JSON.stringify(value));
  expect(text).toMatch(safe);
  expect(JSON.parse(text)).toEqual(value);
});

test("the message and the hint of every error are safe", () => {
  const { message, hint = "" } = new DataError('[a\u001b[31m] got "\u009b"', { hint: "run \u001b[5m" });
  expect(message + hint).toMatch(safe);
  expect(errorFromCode("FILE_INVALID", "\u001b").message).toBe("\\u001b");
});

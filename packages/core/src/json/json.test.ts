import { expect, test } from "vitest";
import { asNumber, asObject, ExactNumber } from "./exact-number.ts";
import { maxJsonDepth, parseExact, repeatedKey } from "./parse.ts";
import { writeExact } from "./write.ts";

/** Texts without spaces must come back letter for letter. */
const exact = [
  "1234567890123456789",
  "-98765432109876543210",
  "9007199254740993",
  "10.0",
  "-0",
  "-0.0",
  "1e5",
  "1E+400",
  "1e-400",
  "0.10",
  "0.1234567890123456789",
  "123456789012345678.5",
  "[1.0,[],{}]",
  '{"10":1,"9":2,"a":3,"1":4}',
  '{"0":1,"b":2,"1":3}',
  '{"a\\"\\\\":"\\\\","2":[{"__proto__":1.0,"1":null}]}',
  '{"x":{"y":[true,false,null,"12",12,0.5]}}',
];

test.each(exact)("%s is written as it was read", (text) => {
  expect(writeExact(parseExact(text))).toBe(text);
  expect(writeExact(parseExact(` {"k" :\t[${text} ,\r\n${text}] } `))).toBe(`{"k":[${text},${text}]}`);
});

test("plain values are JavaScript's own", () => {
  const text = '{"a":[1,-2.5,"x\\u0031\\n",null,true],"b":{"c":""},"e":1e-7}';
  expect(parseExact(text)).toEqual(JSON.parse(text));
  expect(parseExact('"a"')).toBe("a");
});

test("an exact number counts as a number", () => {
  const value = parseExact("1.0");
  expect(value).toBeInstanceOf(ExactNumber);
  expect([asNumber(value), asNumber(1n), asNumber("1")]).toEqual([1, 1, null]);
  expect([asObject(value), asObject([]), asObject(null)]).toEqual([null, null, null]);
  expect(JSON.stringify({ value })).toBe('{"value":1}');
  expect(`${value}`).toBe("1.0");
});

test("of a key that stands twice the first place and the last value count", () => {
  expect(writeExact(parseExact('{"a":1.0,"2":0,"a":3.0,"1":0,"2":4}'))).toBe('{"a":3.0,"2":4,"1":0}');
});

test("a copy keeps the order of its keys, and new keys come last", () => {
  const read = asObject(parseExact('{"z":1,"2":2,"1":3}'));
  expect(writeExact({ ...read, role: "user" })).toBe('{"z":1,"2":2,"1":3,"role":"user"}');
  const { z: _, ...rest } = { ...read };
  expect(writeExact(rest)).toBe('{"2":2,"1":3}');
});

test("values of programs: BigInts are integers, what JSON leaves out is left out, what it would spoil throws", () => {
  const date = new Date(0);
  const value = { a: 12345678901234567890n, b: undefined, c: [undefined], d: date, e: "\ud800" };
  expect(writeExact(value)).toBe(`{"a":12345678901234567890,"c":[null],"d":"${date.toISOString()}","e":"\\ud800"}`);
  for (const bad of [Number.NaN, { a: Number.POSITIVE_INFINITY }, () => 1, undefined])
    expect(() => writeExact(bad)).toThrow(TypeError);
  const cycle: unknown[] = [];
  cycle.push({ cycle });
  expect(() => writeExact(cycle)).toThrow(/^more than 110 levels/u);
});

test("nesting has a limit, and no depth overflows the stack", () => {
  const nested = (depth: number) => `${"[".repeat(depth)}1.0${"]".repeat(depth)}`;
  expect(writeExact(parseExact(nested(maxJsonDepth)))).toBe(nested(maxJsonDepth));
  for (const depth of [maxJsonDepth + 1, 20_000, 200_000])
    expect(() => parseExact(nested(depth))).toThrow(/nested more than 100 levels/u);
  expect(() => parseExact("[".repeat(1_000_000))).toThrow(SyntaxError);
});

test("a key that stands twice in one object is found, at any depth and in any spelling", () => {
  for (const text of [
    '{"a":1,"a":1}',
    '[{"b":{"a":[],"\\u0061":{}}}]',
    '{"10":1,"b":2,"10":3}',
    '{"__proto__":1,"__proto__":2}',
  ])
    expect(repeatedKey(text), text).toMatch(/^(?:a|10|__proto__)$/u);
  for (const text of ['{"a":{"a":1},"b":{"a":"a"}}', "[1,1]", '"a"', "{}"]) expect(repeatedKey(text), text).toBeNull();
  expect(() => repeatedKey("{")).toThrow(SyntaxError);
});

test("a long string with many escapes is read in one go", () => {
  const text = JSON.stringify({ n: 1, text: '\\"\n'.repeat(200_000) });
  expect(writeExact(parseExact(text))).toBe(text);
});

import { stripVTControlCharacters } from "node:util";
import { AbortError, ArgumentError, DataError, OptionError, OutOfMemoryError } from "@tunesmith/sdk";
import { CommanderError } from "commander";
import { expect, test } from "vitest";
import { errorEvent, reportFailure } from "./failure.ts";

function report(error: unknown, env: NodeJS.ProcessEnv = {}) {
  const written: string[] = [];
  const code = reportFailure(error, { write: (text) => written.push(text) }, env);
  return { code, text: stripVTControlCharacters(written.join("")) };
}

test("an error is an event of --json, with its code whatever it is", () => {
  const event = (error: unknown) => JSON.parse(errorEvent(error));
  expect(event(new OptionError("[a] b", { hint: "c" }))).toEqual({
    type: "error",
    name: "OptionError",
    code: "OPTION_INVALID",
    message: "[a] b",
    hint: "c",
  });
  expect(event(new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'"))).toMatchObject({
    code: "OPTION_INVALID",
    message: "[command line] unknown option '--x'",
  });
  expect(event(new TypeError("t"))).toEqual({ type: "error", name: "TypeError", code: "INTERNAL", message: "t" });
});

test("gives each kind of error its exit code", () => {
  const errors = [
    new OptionError("o"),
    new ArgumentError("p"),
    new DataError("d"),
    new OutOfMemoryError("m"),
    new AbortError("a"),
    new Error("e"),
    "text",
  ];
  expect(errors.map((error) => report(error).code)).toEqual([2, 2, 3, 4, 130, 1, 1]);
  expect(report(new CommanderError(1, "commander.unknownOption", "shown already"))).toEqual({ code: 2, text: "" });
  expect(report(new CommanderError(0, "commander.help", "")).code).toBe(0);
});

test("says it in one line with a hint, and shows the stack only when asked", () => {
  const error = new DataError("[a.jsonl:3] expected JSON", { hint: "look at line 3", cause: new SyntaxError("bad") });
  expect(report(error).text).toBe("DataError: [a.jsonl:3] expected JSON\nhint: look at line 3\n");
  const long = report(error, { TUNESMITH_DEBUG: "1" }).text;
  expect(long).toContain("failure.test.ts");
  expect(long).toContain("caused by SyntaxError: bad");
});

test("no error of any kind carries control characters to the terminal", () => {
  const bad = "a\u001b[2J\u009b\u202e";
  const written: string[] = [];
  for (const error of [new DataError(bad, { hint: bad, cause: new Error(bad) }), new Error(bad), bad])
    reportFailure(error, { write: (text) => written.push(text) }, { TUNESMITH_DEBUG: "1" });
  for (const sign of ["\u001b[2J", "\u009b", "\u202e"]) expect(written.join("")).not.toContain(sign);
});

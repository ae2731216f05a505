// One turn as ShareGPT writes it, { from, value }, as a message.
import { asObject } from "@tunesmith/core";
import { describe, parsed, RowError, shown } from "./format.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Roles by what data sets of this form call them; letters may be capital. */
export const sharegptRoles: ReadonlyMap<string, string> = new Map([
  ["system", "system"],
  ["human", "user"],
  ["user", "user"],
  ["prompter", "user"],
  ["input", "user"],
  ["gpt", "assistant"],
  ["assistant", "assistant"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["bot", "assistant"],
  ["chatbot", "assistant"],
  ["model", "assistant"],
  ["ai", "assistant"],
  ["output", "assistant"],
  ["tool", "tool"],
  ["observation", "tool"],
  ["function", "tool"],
  ["function_response", "tool"],
  ["tool_response", "tool"],
  ["tool_result", "tool"],
]);

/** Turns of the assistant that hold calls of tools as JSON text. */
const calls: readonly string[] = ["function_call", "function-call", "tool_call", "tool_calls"];

/** Whether a turn is written as `{ from, value }`. */
export function isSharegptTurn(turn: Fields): boolean {
  return Object.hasOwn(turn, "from") && (turn.role ?? null) === null;
}

/** The turn as `{ role, content }` with its other fields. A turn of calls becomes one of the assistant with `tool_calls`. */
export function sharegptMessage({ from, value, ...others }: Fields, place: string): Record<string, unknown> {
  const name = typeof from === "string" ? from.toLowerCase() : null;
  if (typeof value !== "string")
    throw new RowError(`expected text in ${place}.value, got ${describe(value)}; write it as one text`);
  if (name !== null && calls.includes(name))
    return { ...others, role: "assistant", content: null, tool_calls: readCalls(value, place) };
  const role = name === null ? undefined : sharegptRoles.get(name);
  if (role !== undefined) return { ...others, role, content: value };
  const got = shown(from);
  const known = [...sharegptRoles.keys(), ...calls].join(", ");
  throw new RowError(`expected a role in ${place}.from, one of ${known}, got ${got}; rename it`);
}

/** `{ name, arguments }`, or a list of these, as JSON text. */
function readCalls(text: string, place: string): object[] {
  const value = parsed(text, `${place}.value`, "calls as JSON, { name, arguments } or a list of these,");
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.map((entry) => {
    const call = asObject(entry);
    if (typeof call?.name !== "string")
      throw new RowError(
        `expected a call as { name, arguments } in ${place}.value, got ${describe(entry)}; correct it`,
      );
    return { type: "function", function: { name: call.name, arguments: call.arguments ?? {} } };
  });
}

import { expect, test } from "vitest";
import { conversationsOf, prepareRows, trainedTexts } from "../testing/prepare-rows.ts";
import { sharegptMessage } from "./sharegpt-turn.ts";

const human = (value: string) => ({ from: "human", value });
const gpt = (value: string, more: object = {}) => ({ from: "gpt", value, ...more });

/** The roles and texts that a row becomes. */
async function turns(row: object): Promise<unknown[]> {
  const [conversation] = await conversationsOf([row as Record<string, unknown>]);
  return (conversation as { messages: { role: string; content: string }[] }).messages.map(({ role, content }) => [
    role,
    content,
  ]);
}

test("turns of { from, value } are trained where the assistant speaks", async () => {
  const row = { conversations: [human("a"), gpt("b"), human("c"), gpt("d", { weight: 0 }), gpt("e", { train: true })] };
  expect(await trainedTexts([row])).toEqual(["____b$_______e$"]);
  expect((await prepareRows([row])).report.format).toBe("sharegpt");
});

test.each([
  ["user", "human user prompter Human"],
  ["assistant", "gpt assistant chatgpt bing bard bot chatbot model ai GPT"],
  ["system", "system"],
  ["tool", "tool observation function function_response tool_response tool_result"],
])("%s is called %s", (role, names) => {
  for (const from of names.split(" ")) {
    expect(sharegptMessage({ from, value: "x" }, "conversations[0]")).toEqual({ role, content: "x" });
  }
});

test("a turn of calls is one of the assistant, with the calls", async () => {
  const call = { name: "f", arguments: { x: 1 } };
  const row = (value: unknown) => ({
    conversations: [human("a"), { from: "function_call", value: JSON.stringify(value) }, gpt("b")],
  });
  const wanted = { type: "function", function: call };
  for (const [given, calls] of [
    [call, [wanted]],
    [
      [call, { name: "g" }],
      [wanted, { type: "function", function: { name: "g", arguments: {} } }],
    ],
  ]) {
    const [conversation] = await conversationsOf([row(given)]);
    expect((conversation as { messages: unknown[] }).messages[1]).toEqual({
      role: "assistant",
      content: null,
      tool_calls: calls,
    });
  }
  await expect(prepareRows([row(7)])).rejects.toThrow(
    /expected a call as .* in conversations\[1\].value, got a number/u,
  );
  const text = { conversations: [human("a"), { from: "function_call", value: "f(x)" }] };
  await expect(prepareRows([text])).rejects.toThrow(/rows:1: expected calls as JSON, .* in conversations\[1\].value/u);
});

test("system and tools stand in columns of their own", async () => {
  const conversations = [human("a"), gpt("b")];
  const tools = [
    { name: "f", parameters: {} },
    { type: "function", function: { name: "g" } },
  ];
  const [conversation] = await conversationsOf([{ conversations, system: "s", tools: JSON.stringify(tools) }]);
  expect(conversation).toEqual({
    messages: [
      { role: "system", content: "s" },
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ],
    tools: [{ type: "function", function: tools[0] }, tools[1]],
  });
  expect(
    await conversationsOf([
      { conversations, system: "", tools: "" },
      { conversations, system: null },
    ]),
  ).toEqual(
    new Array(2).fill({
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
    }),
  );
  const own = { conversations: [{ from: "system", value: "s" }, ...conversations], system: "s" };
  expect(await turns(own)).toHaveLength(3);
  await expect(prepareRows([{ ...own, system: "t" }])).rejects.toThrow(/rows:1: expected one system text/u);
});

test("either form of a turn is read in any list of messages", async () => {
  const chat = [
    { role: "user", content: "a" },
    { role: "assistant", content: "b" },
  ];
  expect(await trainedTexts([{ conversations: chat }])).toEqual(["____b$"]);
  expect(await trainedTexts([{ messages: [human("a"), gpt("b")] }])).toEqual(["____b$"]);
  expect(await trainedTexts([{ prompt: [human("a")], completion: [gpt("b")] }])).toEqual(["____b$"]);
  expect(await trainedTexts([{ messages: JSON.stringify(chat) }])).toEqual(["____b$"]);
});

test.each<[object, RegExp]>([
  [{ conversations: [{ from: "narrator", value: "a" }] }, /one of system, human, .*, got "narrator"; rename/u],
  [{ conversations: [{ from: 1, value: "a" }] }, /expected a role in conversations\[0\].from, .* got a number/u],
  [{ conversations: [{ from: "human", value: null }] }, /expected text in conversations\[0\].value, got null/u],
  [{ conversations: [{ from: "human", value: ["a"] }] }, /conversations\[0\].value, got an array/u],
  [{ conversations: [human("a")] }, /expected an assistant turn to learn from, got the roles user/u],
  [{ conversations: [] }, /expected a list of messages in column "conversations", got an empty array/u],
  [{ conversations: "a" }, /in column "conversations", got a string/u],
  [{ conversations: "[1" }, /expected a JSON array in column "conversations"/u],
  [{ conversations: [human("a"), gpt("b")], system: 1 }, /expected a string in column "system", got a number/u],
  [{ conversations: [human("\ud800"), gpt("b")] }, /half of a surrogate pair/u],
])("%j is refused", async (row, message) => {
  await expect(prepareRows([row as Record<string, unknown>])).rejects.toThrow(message);
});

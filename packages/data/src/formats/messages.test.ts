import { expect, test } from "vitest";
import { conversationsOf, prepareRows, trainedTexts } from "../testing/prepare-rows.ts";

const user = (content: unknown) => ({ role: "user", content });
const assistant = (content: unknown, more: object = {}) => ({ role: "assistant", content, ...more });

/** A row as OpenAI's fine-tuning takes it, with all that it may hold. */
const openai = {
  messages: [
    { role: "system", content: "s", name: "rules" },
    user([
      { type: "text", text: "a" },
      { type: "text", text: "c" },
    ]),
    assistant(null, {
      weight: 0,
      tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"x":1.0}' } }],
    }),
    assistant("b", { weight: 1, refusal: null, audio: null }),
  ],
  tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
  parallel_tool_calls: false,
};

test("OpenAI's fine-tuning rows: weights, text parts, calls and tools are used, other columns are named", async () => {
  const { report } = await prepareRows([openai]);
  expect([report.format, report.ignoredColumns]).toEqual(["messages", ["parallel_tool_calls"]]);
  expect(await trainedTexts([openai])).toEqual(["__________b$"]);
  const [conversation] = await conversationsOf([openai]);
  expect(conversation).toMatchObject({ tools: openai.tools, messages: openai.messages.map(({ role }) => ({ role })) });
  expect((conversation as typeof openai).messages[2]).toMatchObject({ train: false, content: null });
});

test("OpenAI's older rows: functions become tools, a function_call stands in place of a text", async () => {
  const call = { name: "f", arguments: "{}" };
  const row = {
    messages: [user("a"), assistant(null, { function_call: call }), { role: "user", content: "2" }, assistant("b")],
    functions: [{ name: "f", parameters: {} }],
    function_call: "auto",
  };
  const { report } = await prepareRows([row]);
  expect(report.ignoredColumns).toEqual(["function_call"]);
  expect(await conversationsOf([row])).toEqual([
    {
      messages: row.messages,
      tools: [{ type: "function", function: { name: "f", parameters: {} } }],
    },
  ]);
});

test("chat_template_kwargs are those of each row", async () => {
  const messages = [user("a"), assistant("b")];
  const rows = [
    { messages, chat_template_kwargs: { enable_thinking: false } },
    { messages, chat_template_kwargs: null },
    { prompt: messages.slice(0, 1), completion: messages.slice(1), chat_template_kwargs: { enable_thinking: true } },
  ];
  const of = async (row: Record<string, unknown>) => (await conversationsOf([row]))[0];
  expect(await of(rows[0] ?? {})).toEqual({ messages, chatTemplateKwargs: { enable_thinking: false } });
  expect(await of(rows[1] ?? {})).toEqual({ messages });
  expect(await of(rows[2] ?? {})).toEqual({ messages, chatTemplateKwargs: { enable_thinking: true } });
  await expect(prepareRows([{ messages, chat_template_kwargs: [1] }])).rejects.toThrow(
    /rows:1: expected an object in column "chat_template_kwargs", got an array/u,
  );
});

test.each<[object, RegExp]>([
  [{ messages: { role: "user" } }, /expected a list of messages in column "messages", got an object/u],
  [{ messages: [["user", "a"]] }, /expected \{ role, content \} in messages\[0\], got an array/u],
  [{ messages: [{ role: "Assistant", content: "a" }] }, /got "Assistant"; did you mean "assistant"\?/u],
  [{ messages: [{ role: "human", content: "a" }] }, /got "human"; did you mean "user"\?/u],
  [{ messages: [assistant({ text: "a" })] }, /expected text in messages\[0\].content, got an object/u],
  [{ messages: [assistant([{ type: "image_url" }])] }, /part of type "text" in messages\[0\].content\[0\]/u],
  [{ messages: [assistant("b", { weight: "1" })] }, /in messages\[0\].weight, got/u],
  [{ messages: [assistant("b", { train: 1 })] }, /expected true or false in messages\[0\].train, got a number/u],
  [{ messages: [assistant("b")], tools: {} }, /expected an array in column "tools", got an object/u],
  [{ messages: [assistant("b")], functions: [1] }, /expected an object in functions\[0\], got a number/u],
])("%j is refused", async (row, message) => {
  await expect(prepareRows([row as Record<string, unknown>])).rejects.toThrow(message);
});

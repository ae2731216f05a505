// `tunesmith chat`: answers one prompt, or talks until the input ends.
import { createInterface } from "node:readline/promises";
import { type OptionKeys, type ParsedGenerationConfig, sortOptionsBeside, terminalText, textOf } from "@tunesmith/core";
import type { FastLanguageModel, Message } from "@tunesmith/sdk";
import pc from "picocolors";
import { chatSchemas } from "../flags.ts";
import { environmentLine } from "../view/environment-line.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { modelOf } from "./run-target.ts";
import type { Streams } from "./train.ts";

/** A stream of typed lines: standard input, but for tests. */
export type Input = NodeJS.ReadableStream & { isTTY?: boolean };

/** Flags besides those of the schemas. */
interface ChatFlags {
  adapter?: string;
  prompt?: string;
  system?: string;
}

const chatKeys: OptionKeys<ChatFlags> = { adapter: "optional", prompt: "optional", system: "optional" };

/** `tunesmith chat`: answers one prompt, or talks until the input ends. Gives the exit code. */
export async function chat(
  target: string,
  flags: Record<string, unknown>,
  { out, err }: Streams,
  input: Input,
): Promise<number> {
  const found = await modelOf(target, flags.adapter as string | undefined);
  // Flags beat how the run held its weights.
  const given = { ...found.weights, ...flags };
  const [sorted, { prompt, system }] = sortOptionsBeside(chatSchemas, chatKeys, given, "tunesmith chat");
  const { sampling: options, place, modelConfig } = sorted;
  if (prompt === undefined) out.write(`${environmentLine(place)}\n`);
  const adapter = found.adapter === null ? {} : { adapter: found.adapter };
  const model = await openModel(found.model, err, {
    ...place,
    ...adapter,
    ...modelConfig,
    ...revisionOf(found.revision),
  });
  const opening: Message[] = system === undefined ? [] : [{ role: "system", content: system }];
  try {
    if (prompt !== undefined) {
      await answer(model, opening.concat({ role: "user", content: prompt }), options, out);
      return 0;
    }
    await converse(model, opening, options, out, input);
    return 0;
  } finally {
    await model.dispose();
  }
}

/** Streams an answer and gives its text. */
async function answer(
  model: FastLanguageModel,
  messages: readonly Message[],
  options: ParsedGenerationConfig & { signal?: AbortSignal },
  out: Streams["out"],
): Promise<string> {
  // A base model has no turns: it continues the text.
  const prompt = model.tokenizer.info.chatTemplate === null ? (messages.map(textOf).at(-1) ?? "") : messages;
  let reply = "";
  for await (const piece of model.generate(prompt, options)) {
    reply += piece;
    out.write(terminalText(piece));
  }
  out.write("\n");
  return reply;
}

async function converse(
  model: FastLanguageModel,
  opening: readonly Message[],
  options: ParsedGenerationConfig,
  out: Streams["out"],
  input: Input,
): Promise<void> {
  const isTerminal = input.isTTY === true;
  const lines = createInterface({ input, ...(isTerminal ? { output: process.stdout } : {}), prompt: pc.bold("> ") });
  if (isTerminal) out.write(pc.dim("/reset forgets the conversation, Ctrl-C stops an answer, Ctrl-D ends\n"));
  let messages = [...opening];
  let stop: AbortController | null = null;
  // While nothing is being written, Ctrl-C ends the conversation.
  lines.on("SIGINT", () => (stop === null ? lines.close() : stop.abort()));
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    const said = line.trim();
    if (said === "/reset") messages = [...opening];
    else if (said !== "") {
      stop = new AbortController();
      const turn: Message = { role: "user", content: said };
      try {
        const reply = await answer(model, [...messages, turn], { ...options, signal: stop.signal }, out);
        messages.push(turn, { role: "assistant", content: reply });
      } catch (error) {
        // A stopped answer is forgotten together with its question.
        if ((error as Error).name !== "AbortError") throw error;
        out.write("\n");
      } finally {
        stop = null;
      }
    }
    if (isTerminal) lines.prompt();
  }
}

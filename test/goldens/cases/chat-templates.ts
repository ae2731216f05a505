// `trl/chat-templates`: the text of every template and conversation.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Conversation } from "@tunesmith/core";
import { loadTokenizer } from "@tunesmith/native";
import { attempt, measured, type Outcome } from "../outcome.ts";

interface RenderedFile {
  conversations: Record<
    string,
    { messages: Conversation["messages"]; tools?: unknown[]; add_generation_prompt?: boolean } & Record<string, unknown>
  >;
  rendered: Record<string, Record<string, { text?: string; error?: string }>>;
}

/** Variables that the references were rendered with, besides the conversation's own. */
const variables = { date_string: "26 Jul 2024", current_date: "2026-01-01", todays_date: "01 January 2026" };

/** `trl/chat-templates`: the text of every template and conversation; a template that refuses must refuse. */
export async function chatTemplates(root: string): Promise<Outcome[]> {
  const dir = join(root, "trl/chat-templates");
  if (!existsSync(join(dir, "rendered.json"))) return [];
  const { conversations, rendered } = JSON.parse(readFileSync(join(dir, "rendered.json"), "utf8")) as RenderedFile;
  const outcomes: Outcome[] = [];
  for (const [template, expected] of Object.entries(rendered)) {
    const name = `trl/chat-templates/${template}`;
    outcomes.push(
      ...(await attempt(name, async () => [
        measured(name, await differing(root, dir, template, conversations, expected), 0),
      ])),
    );
  }
  return outcomes;
}

/** Number of conversations whose text differs. */
async function differing(
  root: string,
  dir: string,
  template: string,
  conversations: RenderedFile["conversations"],
  expected: Record<string, { text?: string; error?: string }>,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-template-"));
  try {
    const source = readFileSync(join(dir, `${template}.jinja`), "utf8");
    await tokenizerFolder(root, folder, source);
    // A template that asks for today's date writes another one than on the day of the recording.
    const comparable = (text: string | undefined) =>
      source.includes("strftime_now") ? text?.replaceAll(/\d/gu, "0") : text;
    const tokenizer = await loadTokenizer(folder);
    let wrong = 0;
    for (const [name, reference] of Object.entries(expected)) {
      const {
        messages,
        tools,
        add_generation_prompt: addGenerationPrompt,
        ...rest
      } = conversations[name] ?? { messages: [] };
      const conversation: Conversation = {
        messages,
        chatTemplateKwargs: { ...variables, ...rest },
        ...(tools === undefined ? {} : { tools }),
      };
      let text: string | undefined;
      try {
        text = tokenizer.render(conversation, { addGenerationPrompt: addGenerationPrompt ?? false });
      } catch {
        text = undefined;
      }
      if (comparable(text) !== comparable(reference.text)) wrong += 1;
    }
    return wrong;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Any tokenizer of the set with the special tokens that the references name. */
async function tokenizerFolder(root: string, folder: string, template: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const [model] = readdirSync(join(root, "models"));
  copyFileSync(join(root, "models", model ?? "", "tokenizer.json"), join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }));
  writeFileSync(join(folder, "chat_template.jinja"), template);
}

// Rewards by a model at an endpoint in OpenAI's form.
import { DataError, type EndpointOptions, type Message, OptionError, TextEndpoint, textOf } from "@tunesmith/core";
import type { RewardFunction } from "../reward.ts";
import { named } from "./named.ts";

/** A model that rates completions. */
export interface JudgeRewardOptions extends EndpointOptions {
  /** What it is told to look at. Default: whether the answer is correct, complete and helpful. */
  instruction?: string;
}

const usual = "Judge whether the answer is correct, complete and helpful for the prompt.";

/**
 * A score from 0 to 1: what a model replies when it is asked for a whole number from 0 to 10, by tenths. The completions of a prompt are
 * rated at once; a reply without a number from 0 to 10 is an error.
 */
export function getJudgeReward({ instruction = usual, ...options }: JudgeRewardOptions): RewardFunction {
  if (typeof instruction !== "string" || instruction === "")
    throw new OptionError("[instruction] expected a text, got something else; say what is to be rated");
  const endpoint = new TextEndpoint(options, "judge");
  const system = `You grade answers of a language model. ${instruction} Reply with one whole number from 0 (useless) to 10 (excellent) and nothing else.`;
  const rate = async (prompt: string | readonly Message[], answer: string): Promise<number> => {
    const content = `Prompt:\n${asText(prompt)}\n\nAnswer:\n${answer}\n\nScore:`;
    const messages = [
      { role: "system", content: system },
      { role: "user", content },
    ];
    const { text } = await endpoint.complete({ messages, temperature: 0, maxTokens: 16 });
    const found = /-?\d+(?:\.\d+)?/u.exec(text)?.[0];
    const score = found === undefined ? Number.NaN : Number(found);
    if (score >= 0 && score <= 10) return score / 10;
    throw new DataError(
      `[judge] expected a score from 0 to 10 from ${options.model}, got ${JSON.stringify(text.slice(0, 80))}; choose another model`,
    );
  };
  return named("judgeReward", ({ prompts, completions }) =>
    Promise.all(completions.map((completion, n) => rate(prompts[n] ?? "", completion))),
  );
}

function asText(prompt: string | readonly Message[]): string {
  if (typeof prompt === "string") return prompt;
  return prompt.map((message) => `${message.role}: ${textOf(message) ?? ""}`).join("\n\n");
}

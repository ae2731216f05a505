// Prompts of a batch to an endpoint in OpenAI's form, all at once.
import { type EndpointOptions, type ParsedSelfInstructConfig, TextEndpoint } from "@tunesmith/core";
import type { OpenGenerator } from "./generate.ts";

/** A generator that asks an endpoint; the requests of a batch are under way together. */
export function endpointGenerator(
  options: EndpointOptions,
  { prompting }: Pick<ParsedSelfInstructConfig, "prompting">,
): OpenGenerator {
  const endpoint = new TextEndpoint(options, "selfInstruct.generate");
  const isChat = prompting !== "completion";
  return {
    identity: { type: "endpoint", model: endpoint.model },
    async generate(prompts, { temperature, topP, presencePenalty, maxTokens, stop, seed, signal }) {
      const asked = prompts.map((prompt, n) =>
        endpoint.complete(
          {
            ...(isChat ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
            temperature,
            topP,
            presencePenalty,
            maxTokens,
            stop,
            seed: seed + n,
          },
          signal,
        ),
      );
      // The first failure is told once all have ended: none is left under way.
      await Promise.allSettled(asked);
      return Promise.all(asked);
    },
    close: async () => {},
  };
}

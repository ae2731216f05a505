import { expect, onTestFinished, test, vi } from "vitest";
import { textServer } from "../../../core/src/testing/text-server.ts";
import type { SelfInstructEvent } from "../report.ts";
import { recordedGenerator } from "../testing/recorded.ts";
import { eventsOf } from "../testing/run.ts";
import { endpointGenerator } from "./endpoint-generator.ts";
import type { GenerateTextOptions } from "./generate.ts";

/** The recording as an endpoint; it fails now and then, and gives the replies of a batch in any order. */
async function recordedEndpoint(isFaulty: boolean) {
  let requests = 0;
  const under = { way: 0, most: 0 };
  const server = await textServer(onTestFinished, ({ body, path }, response, request) => {
    requests += 1;
    under.way += 1;
    under.most = Math.max(under.most, under.way);
    response.on("close", () => {
      under.way -= 1;
    });
    if (isFaulty && requests % 7 === 3) return void response.writeHead(429, { "retry-after": "0" }).end();
    if (isFaulty && requests % 7 === 5) return void response.writeHead(500).end("oops");
    if (isFaulty && requests % 11 === 6) return void request.socket.destroy();
    const stop = String(body.stop);
    const step = stop.includes("Example") ? "instances" : stop.includes("Task:") ? "classification" : "instructions";
    const prompt = (body.prompt ?? (body.messages as { content: string }[])[0]?.content) as string;
    const [reply] = recordedGenerator([prompt], { step, seed: body.seed } as GenerateTextOptions) as [
      string | { text: string; finishReason: string },
    ];
    const [text, reason] = typeof reply === "string" ? [reply, "stop"] : [reply.text, reply.finishReason];
    const choice = path.endsWith("/chat/completions") ? { message: { content: text } } : { text };
    const answer = JSON.stringify({ choices: [{ ...choice, finish_reason: reason }] });
    setTimeout(() => response.end(answer), requests % 3);
    return undefined;
  });
  return { ...server, under };
}

const made = (events: readonly SelfInstructEvent[]) =>
  events.filter(({ type }) => type !== "request" && type !== "done");

test("an endpoint that fails now and then gives the pool of a function, with the requests of a batch under way together", async () => {
  const expected = made(await eventsOf({ numInstructions: 20 }));
  for (const prompting of ["chat", "completion"] as const) {
    const { baseUrl, asked, under } = await recordedEndpoint(true);
    const generate = { baseUrl, model: "recorded", apiKey: "key", retryDelay: 1 };
    expect(made(await eventsOf({ generate, prompting, numInstructions: 20 }))).toEqual(expected);
    const path = prompting === "chat" ? "/v1/chat/completions" : "/v1/completions";
    expect(new Set(asked.map((one) => one.path))).toEqual(new Set([path]));
    expect(under.most).toBeGreaterThan(1);
    expect(asked[0]?.body).toMatchObject({ model: "recorded", temperature: 0.7, top_p: 0.5, presence_penalty: 2 });
  }
}, 30_000);

test("an endpoint that refuses ends the run with its typed error", async () => {
  const { baseUrl } = await textServer(onTestFinished, (_, response) => void response.writeHead(401).end());
  await expect(eventsOf({ generate: { baseUrl, model: "m", apiKey: "secret-key" } })).rejects.toMatchObject({
    code: "ENDPOINT_FAILED",
    message: expect.not.stringContaining("secret-key"),
  });
});

test("a batch of which one is refused has ended when that is told, and a run that goes on must share the model", async () => {
  let ended = 0;
  const { baseUrl } = await textServer(onTestFinished, ({ body }, response) => {
    response.on("close", () => {
      ended += 1;
    });
    if (body.prompt === "refused") return void response.writeHead(400).end();
    return void setTimeout(() => response.end(JSON.stringify({ choices: [{ text: "late" }] })), 50);
  });
  const { generate, identity } = endpointGenerator({ baseUrl, model: "m" }, { prompting: "completion" });
  expect(identity).toEqual({ type: "endpoint", model: "m" });
  const options = {
    temperature: 0,
    topP: 1,
    presencePenalty: 0,
    maxTokens: 1,
    stop: [],
    seed: 1,
    step: "rows",
  } as const;
  await expect(generate(["refused", "late", "late"], options)).rejects.toMatchObject({ code: "ENDPOINT_FAILED" });
  await vi.waitUntil(() => ended >= 3, { timeout: 20, interval: 1 });
});

import { getEventListeners } from "node:events";
import { inspect } from "node:util";
import { expect, onTestFinished, test, vi } from "vitest";
import { EndpointError } from "../errors.ts";
import { type Answer, textServer } from "../testing/text-server.ts";
import { type EndpointOptions, TextEndpoint } from "./endpoint.ts";

const apiKey = "sk-loopback-secret";
const chat = { messages: [{ role: "user", content: "Hello" }], temperature: 0, maxTokens: 8 };

async function endpoint(answer: Answer, options: Partial<EndpointOptions> = {}) {
  const { baseUrl, asked } = await textServer(onTestFinished, answer);
  return { asked, endpoint: new TextEndpoint({ baseUrl, model: "m", apiKey, retryDelay: 1, ...options }) };
}

test("a text is continued and turns are answered, with what was asked for and the key", async () => {
  const { asked, endpoint: model } = await endpoint(({ path }) => `from ${path}`);
  expect(await model.complete(chat)).toEqual({ text: "from /v1/chat/completions", finishReason: "stop" });
  const request = {
    prompt: "1.",
    temperature: 0.7,
    maxTokens: 9,
    topP: 0.5,
    presencePenalty: 2,
    stop: ["\n"],
    seed: 3,
  };
  expect(await model.complete(request)).toMatchObject({ text: "from /v1/completions" });
  expect(asked.map(({ key }) => key)).toEqual([`Bearer ${apiKey}`, `Bearer ${apiKey}`]);
  expect(asked[0]?.body).toEqual({ model: "m", messages: chat.messages, temperature: 0, max_tokens: 8 });
  expect(asked[1]?.body).toEqual({
    model: "m",
    prompt: "1.",
    temperature: 0.7,
    max_tokens: 9,
    top_p: 0.5,
    presence_penalty: 2,
    stop: ["\n"],
    seed: 3,
  });
});

test("what fails in passing is asked again: 429, 500, a cut answer, a cut connection, no answer in time", async () => {
  let tries = 0;
  const failures: Answer[] = [
    (_, response) => void response.writeHead(429, { "retry-after": "1" }).end("slow down"),
    (_, response) => void response.writeHead(500).end(),
    (_, response) => {
      response.writeHead(200, { "content-length": "1000" }).write('{"choices":[');
      setTimeout(() => response.destroy(), 20);
      return undefined;
    },
    (_, response) => void response.end('{"choices":['),
    (_, __, request) => void request.socket.destroy(),
    () => undefined,
  ];
  const { asked, endpoint: model } = await endpoint(
    (...of) => {
      const fail = failures[tries];
      tries += 1;
      return fail === undefined ? "at last" : fail(...of);
    },
    { timeout: 400 },
  );
  expect(await model.complete(chat)).toEqual({ text: "at last", finishReason: "stop" });
  expect(asked).toHaveLength(failures.length + 1);
  expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThan(990);
});

test("the pauses grow, and end in an error after the last try", async () => {
  const { asked, endpoint: model } = await endpoint((_, response) => void response.writeHead(503).end(), {
    maxRetries: 3,
    retryDelay: 40,
  });
  await expect(model.complete(chat)).rejects.toThrow(/got HTTP 503, 4 times; check/u);
  const pauses = asked.slice(1).map(({ at }, n) => at - (asked[n]?.at ?? 0));
  for (const [n, pause] of pauses.entries()) expect(pause).toBeGreaterThan(40 * 2 ** n - 2);
});

test("what will not pass is not asked again, and the key is in no message", async () => {
  const refusals: Answer[] = [
    (_, response) => void response.writeHead(401).end(JSON.stringify({ error: { message: `Bad key ${apiKey}` } })),
    (_, response) => void response.writeHead(429).end(JSON.stringify({ error: { code: "insufficient_quota" } })),
    (_, response) => void response.writeHead(429, { "retry-after": "86400" }).end(),
    (_, response) => void response.end(JSON.stringify({ choices: [] })),
    (_, response) => void response.end(JSON.stringify({ error: `${apiKey} ${apiKey}`, choices: [{ text: 5 }] })),
    // Where the words are cut, the key is not: a part of it would be left.
    (_, response) => void response.writeHead(401).end(JSON.stringify({ error: `${"x".repeat(195)}${apiKey}` })),
    (_, response) => void response.end(JSON.stringify({ error: `${"x".repeat(65)}${apiKey}`, choices: [] })),
  ];
  for (const refuse of refusals) {
    const { asked, endpoint: model } = await endpoint(refuse);
    const error = await model.complete(chat).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(EndpointError);
    expect(error).toMatchObject({ code: "ENDPOINT_FAILED" });
    expect(inspect([error, model], { depth: 9 })).not.toContain(apiKey.slice(0, 4));
    expect(asked).toHaveLength(1);
  }
  const closed = new TextEndpoint({ baseUrl: "http://127.0.0.1:9/v1", model: "m", apiKey });
  await expect(closed.complete(chat)).rejects.toThrow(/^\[http:\/\/127.0.0.1:9\/v1\] .*check the address/u);
});

test("a redirect is not followed: the key belongs to the address that was given", async () => {
  const elsewhere = await textServer(onTestFinished, () => "from elsewhere");
  const location = `${elsewhere.baseUrl}/chat/completions`;
  for (const status of [301, 307, 308]) {
    const { asked, endpoint: model } = await endpoint(
      (_, response) => void response.writeHead(status, { location }).end(),
    );
    await expect(model.complete(chat)).rejects.toThrow(`got a redirect (HTTP ${status}); give the address it leads to`);
    expect([asked.length, elsewhere.asked.length]).toEqual([1, 0]);
  }
});

test("what is not waited for any longer is closed: no answer in time, or an abort", async () => {
  let closed = 0;
  const silent: Answer = (_, response) =>
    void response.on("close", () => {
      closed += 1;
    });
  const late = await endpoint(silent, { timeout: 30, maxRetries: 0 });
  await expect(late.endpoint.complete(chat)).rejects.toThrow(/got none within 0.03 s;/u);
  const stop = new AbortController();
  const stopped = await endpoint(silent);
  const waiting = stopped.endpoint.complete(chat, stop.signal);
  await vi.waitUntil(() => stopped.asked.length === 1);
  stop.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow(/^enough$/u);
  await vi.waitUntil(() => closed === 2);
});

test("an answer leaves nothing behind on a signal that stops many", async () => {
  const stop = new AbortController();
  const { endpoint: model } = await endpoint(() => "yes");
  await model.complete(chat, stop.signal);
  expect(getEventListeners(stop.signal, "abort")).toEqual([]);
});

test("an address may end with slashes, and a reply that is all reasoning has no text", async () => {
  const { baseUrl, asked } = await textServer(
    onTestFinished,
    (_, response) => void response.end(JSON.stringify({ choices: [{ message: { content: null } }] })),
  );
  const model = new TextEndpoint({ baseUrl: `${baseUrl}//`, model: "m" });
  expect(await model.complete(chat)).toEqual({ text: "", finishReason: "stop" });
  expect(asked.map(({ path, key }) => [path, key])).toEqual([["/v1/chat/completions", undefined]]);
});

test("an answer of more than 32 MiB is refused, and its rest is not waited for", async () => {
  const { endpoint: model } = await endpoint((_, response) => void response.write(Buffer.alloc(2 ** 25 + 1, " ")));
  await expect(model.complete(chat)).rejects.toThrow(/got more than 33554432 bytes/u);
});

test("no more requests a minute than allowed, and an abort ends a pause", async () => {
  const { asked, endpoint: model } = await endpoint(() => "yes", { requestsPerMinute: 300 });
  await Promise.all([model.complete(chat), model.complete(chat), model.complete(chat)]);
  expect((asked[2]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThan(300);
  const slow = await endpoint((_, response) => void response.writeHead(500).end(), { retryDelay: 60_000 });
  const stop = new AbortController();
  const waiting = slow.endpoint.complete(chat, stop.signal);
  setTimeout(() => stop.abort(), 50);
  await expect(waiting).rejects.toThrow(/abort/u);
});

test("wrong options are named, without the key", () => {
  const wrong: [Partial<EndpointOptions>, RegExp][] = [
    [{ baseUrl: "localhost" }, /\[endpoint.baseUrl\] expected an address/u],
    [{ baseUrl: "http://me:secret@host/v1" }, /got one with a user or password/u],
    [{ baseUrl: "http://host/v1?key=secret" }, /got one with a query or a fragment/u],
    [{ baseUrl: "http://host/v1#secret" }, /got one with a query or a fragment/u],
    [{ model: "" }, /\[endpoint.model\] expected the name of a model/u],
    [{ apiKey: "secret\n" }, /\[endpoint.apiKey\] expected printable ASCII/u],
    [{ timeout: 0 }, /timeout\] expected a number above 0, got 0/u],
    [{ maxRetries: -1 }, /maxRetries\] expected 0 or more/u],
    [{ requestPerMinute: 1 } as never, /did you mean "requestsPerMinute"/u],
  ];
  for (const [options, message] of wrong) {
    const make = () => new TextEndpoint({ baseUrl: "http://localhost/v1", model: "m", ...options });
    expect(make).toThrow(message);
    expect(make).not.toThrow(/secret/u);
  }
});

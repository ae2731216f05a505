// How long an endpoint is left alone, exactly: nothing waits here, what would be waited for is written down.
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { type Answer, textServer } from "../testing/text-server.ts";
import { type EndpointOptions, TextEndpoint } from "./endpoint.ts";

const pauses: number[] = [];

vi.mock("node:timers/promises", () => ({
  setTimeout: async (wait: number) => {
    pauses.push(wait);
  },
}));

beforeEach(() => {
  pauses.length = 0;
});

const chat = { messages: [{ role: "user", content: "Hello" }], temperature: 0, maxTokens: 8 };

/** Asks an endpoint until it gives up; gives its failure and how often it was asked. */
async function refusedBy(answer: Answer, options: Partial<EndpointOptions> = {}) {
  const { baseUrl, asked } = await textServer(onTestFinished, answer);
  const failure: Error = await new TextEndpoint({ baseUrl, model: "m", ...options }).complete(chat).then(
    () => expect.fail("expected a failure"),
    (error: Error) => error,
  );
  return { message: failure.message, asked: asked.length };
}

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end();

test("pauses double up to a minute", async () => {
  const { asked } = await refusedBy(status(503), { maxRetries: 9 });
  expect(asked).toBe(10);
  expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

test("Retry-After makes a pause longer, beyond a minute too, in seconds or as a date; more than ten minutes is not waited for", async () => {
  await refusedBy(status(429, { "retry-after": "90" }), { maxRetries: 1 });
  await refusedBy(status(503, { "retry-after": "0" }), { maxRetries: 1 });
  await refusedBy(status(503, { "retry-after": "soon" }), { maxRetries: 1 });
  expect(pauses).toEqual([90_000, 500, 500]);
  await refusedBy(status(429, { "retry-after": new Date(Date.now() + 300_000).toUTCString() }), { maxRetries: 1 });
  expect(pauses[3]).toBeGreaterThan(297_000);
  expect(pauses[3]).toBeLessThanOrEqual(300_000);
  expect((await refusedBy(status(429, { "retry-after": "600" }), { maxRetries: 1 })).asked).toBe(2);
  expect((await refusedBy(status(429, { "retry-after": "601" }), { maxRetries: 1 })).asked).toBe(1);
});

test.each([
  ...[408, 425, 429, 500, 502, 504, 599].map((code) => [code, 2] as const),
  ...[400, 401, 403, 404, 409, 422].map((code) => [code, 1] as const),
])("HTTP %i is asked %i times with one retry", async (code, times) => {
  expect(await refusedBy(status(code), { maxRetries: 1 })).toMatchObject({
    asked: times,
    message: expect.stringContaining(`HTTP ${code}`),
  });
});

test("tries count as requests: each waits for its turn", async () => {
  const { asked } = await refusedBy(status(500), { maxRetries: 3, retryDelay: 0, requestsPerMinute: 60 });
  expect(asked).toBe(4);
  // After each failure its pause, and then what is left of the second between two requests.
  const turns = pauses.filter((wait) => wait > 0);
  expect(turns).toHaveLength(3);
  for (const [n, wait] of turns.entries()) {
    expect(wait).toBeGreaterThan(1000 * n);
    expect(wait).toBeLessThanOrEqual(1000 * (n + 1));
  }
});

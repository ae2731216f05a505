// An endpoint in OpenAI's form on this machine, which fails as it is told.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What was asked. */
export interface Asked {
  path: string;
  key: string | undefined;
  body: Record<string, unknown>;
  /** `performance.now()` of its arrival. */
  at: number;
}

/** How one request is answered: by a text, or by writing to the response itself. */
export type Answer = (asked: Asked, response: ServerResponse, request: IncomingMessage) => string | undefined;

/** Starts an endpoint; `answer` is asked for every request. Ended by what is handed to `onTestFinished`. */
export async function textServer(
  onTestFinished: (cleanUp: () => void) => void,
  answer: Answer,
): Promise<{ baseUrl: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const part of request) text += part;
    const body = JSON.parse(text) as Record<string, unknown>;
    const one = { path: request.url ?? "", key: request.headers.authorization, body, at: performance.now() };
    asked.push(one);
    const said = answer(one, response, request);
    if (said === undefined) return;
    const choice = one.path.endsWith("/chat/completions") ? { message: { content: said } } : { text: said };
    response.end(JSON.stringify({ choices: [{ ...choice, finish_reason: "stop" }] }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}

// A queue of fine-tunes over HTTP, as somebody outside would write it: one file, and @tunesmith/sdk alone.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FastLanguageModel, type SFTConfig, SFTTrainer, type TrainEvent, TunesmithError } from "@tunesmith/sdk";

interface Order {
  model: string;
  rows: { prompt: string; completion: string }[];
  args: SFTConfig;
}

interface Job {
  id: number;
  order: Order;
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled";
  events: TrainEvent[];
  error: { code: string; message: string } | null;
  stop: AbortController;
  isResumed: boolean;
  listeners: Set<(event: TrainEvent | null) => void>;
}

const jobs: Job[] = [];
let last: Promise<void> = Promise.resolve();

const outputDir = (job: Job) => `jobs/${job.id}`;
const shown = ({ id, state, error, events }: Job) => ({ id, state, error, events: events.length });

function enqueue(job: Job): void {
  job.state = "queued";
  job.stop = new AbortController();
  last = last.then(() => work(job));
}

async function work(job: Job): Promise<void> {
  if (job.stop.signal.aborted) return;
  job.state = "running";
  try {
    const base = await FastLanguageModel.fromPretrained(job.order.model);
    const model = base.getPeftModel({ r: 4 });
    const args: SFTConfig = { ...job.order.args, outputDir: outputDir(job) };
    const trainer = new SFTTrainer({ model, trainDataset: job.order.rows, args });
    for await (const event of trainer.train({ signal: job.stop.signal, resumeFromCheckpoint: job.isResumed })) {
      job.events.push(event);
      for (const tell of job.listeners) tell(event);
    }
    job.state = "succeeded";
  } catch (error) {
    job.state = job.stop.signal.aborted ? "cancelled" : "failed";
    const { message } = error as Error;
    job.error = { code: error instanceof TunesmithError ? error.code : "UNKNOWN", message };
  }
  for (const tell of job.listeners) tell(null);
}

function follow(job: Job, response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const tell = (event: TrainEvent | null) => {
    if (event === null) response.end(`event: end\ndata: ${job.state}\n\n`);
    else response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  for (const event of job.events) tell(event);
  const isOver = job.state !== "queued" && job.state !== "running";
  if (isOver) tell(null);
  else job.listeners.add(tell);
  response.on("close", () => job.listeners.delete(tell));
}

async function generate(job: Job, prompt: string, response: ServerResponse): Promise<void> {
  await using tuned = await FastLanguageModel.fromPretrained(job.order.model, { adapter: `${outputDir(job)}/adapter` });
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  for await (const text of tuned.generate(prompt, { maxNewTokens: 8 })) response.write(text);
  response.end();
}

async function bodyOf<Body>(request: IncomingMessage): Promise<Body> {
  let text = "";
  for await (const part of request.setEncoding("utf8")) text += part;
  return JSON.parse(text) as Body;
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, , id = "", verb = ""] = (request.url ?? "").split("/");
  const send = (status: number, value: unknown) => response.writeHead(status).end(JSON.stringify(value));
  if (request.method === "POST" && id === "") {
    const order = await bodyOf<Order>(request);
    const empty = {
      events: [],
      error: null,
      isResumed: false,
      listeners: new Set<(event: TrainEvent | null) => void>(),
    };
    const job: Job = { id: jobs.length, order, state: "queued", stop: new AbortController(), ...empty };
    jobs.push(job);
    enqueue(job);
    return void send(202, shown(job));
  }
  const job = jobs[Number(id)];
  if (job === undefined || id === "") return void send(404, { error: `no job ${id}` });
  if (verb === "events") return follow(job, response);
  if (verb === "abort") job.stop.abort();
  if (verb === "resume" && job.state === "cancelled") {
    job.isResumed = true;
    enqueue(job);
  }
  if (verb === "generate") return generate(job, (await bodyOf<{ prompt: string }>(request)).prompt, response);
  send(200, shown(job));
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
});
server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));

// The tool outside the workspace: compiled strictly against the installed @tunesmith/sdk alone, started, and used over HTTP.
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import type { InstallCheck } from "./check.ts";
import { makePlace, mustEnd, mustExist, surroundings } from "./place.ts";

interface Shown {
  id: number;
  state: string;
  error: { code: string } | null;
}

const prompts = ["red", "green", "blue", "north"];
const rows = prompts.map((prompt) => ({ prompt: `${prompt} is`, completion: ` ${prompt} stone` }));
/** Enough that an abort comes before the end. */
const steps = 400;

/** Starts the tool; gives its address. */
async function start(program: string, cwd: string): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, [program], { cwd, env: surroundings(), stdio: ["ignore", "pipe", "inherit"] });
  const port = await new Promise<string>((resolve, reject) => {
    child
      .on("error", reject)
      .on("exit", (code) => reject(new Error(`expected the queue to listen, got exit code ${code}`)));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const [, found] = /listening on (\d+)/u.exec(text) ?? [];
      if (found !== undefined) resolve(found);
    });
  });
  return { child, address: `http://127.0.0.1:${port}/jobs` };
}

const post = async (address: string, body: unknown = {}) =>
  (await fetch(address, { method: "POST", body: JSON.stringify(body) })).text();

/** Reads the events of a job to their end, telling of each; gives their types and the state the job ended in. */
async function follow(
  address: string,
  told: (type: string) => void = () => {},
): Promise<{ types: string[]; state: string }> {
  const { body } = await fetch(`${address}/events`);
  if (body === null) throw new Error("expected a stream of events, got none");
  let rest = "";
  const types: string[] = [];
  for await (const part of body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + part).split("\n\n");
    rest = whole.pop() ?? "";
    for (const event of whole) {
      const [, type = "", data = ""] = /^event: (.*)\ndata: (.*)$/u.exec(event) ?? [];
      if (type === "end") return { types, state: data };
      types.push(type);
      told(type);
    }
  }
  throw new Error("expected the end of the job, got the end of the stream");
}

function mustBe(what: string, got: unknown, expected: unknown): void {
  if (got !== expected) throw new Error(`${what}: expected ${expected}, got ${got}`);
}

async function use(address: string): Promise<string> {
  const order = { model: "model", rows, args: { maxSteps: steps, learningRate: 1e-3, saveSteps: 50 } };
  const first = JSON.parse(await post(address, order)) as Shown;
  const second = JSON.parse(await post(address, { ...order, args: { maxSteps: 3 } })) as Shown;
  const job = `${address}/${first.id}`;
  let seen = 0;
  const stopped = await follow(job, (type) => {
    if (type === "step" && ++seen === 2) void post(`${job}/abort`);
  });
  mustBe("the job that was aborted", stopped.state, "cancelled");
  mustBe("its error", (JSON.parse(await (await fetch(job)).text()) as Shown).error?.code, "ABORTED");
  mustBe("the next in the queue", (await follow(`${address}/${second.id}`)).state, "succeeded");
  await post(`${job}/resume`);
  const whole = await follow(job);
  mustBe("the job that was resumed", whole.state, "succeeded");
  mustBe("steps of both parts", whole.types.filter((type) => type === "step").length, steps);
  const text = await post(`${job}/generate`, { prompt: "red is" });
  if (text.trim() === "") throw new Error("expected an answer, got none");
  const wrong = JSON.parse(await post(address, { ...order, model: "nowhere" })) as Shown;
  mustBe("a model that is not there", (await follow(`${address}/${wrong.id}`)).state, "failed");
  return `aborted after ${stopped.types.filter((type) => type === "step").length} of ${steps} steps, resumed`;
}

export const queueCheck: InstallCheck = {
  id: "a queue over HTTP",
  async run(_, release) {
    using place = await makePlace(release, { names: ["@tunesmith/sdk"], others: { "@types/node": "^20.19" } });
    mustExist(place.folder, "node_modules/@tunesmith/sdk/dist/index.js");
    copyFileSync(join(import.meta.dirname, "outside/queue.ts"), join(place.folder, "queue.ts"));
    const how = [
      "--strict",
      "--skipLibCheck",
      "false",
      "--module",
      "nodenext",
      "--target",
      "es2022",
      "--types",
      "node",
    ];
    mustEnd(await place.tsc([...how, "--lib", "es2023,esnext.disposable", "queue.ts"]));
    const { child, address } = await start("queue.js", place.folder);
    try {
      return await use(address);
    } finally {
      child.kill();
    }
  },
};

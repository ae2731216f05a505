// `npm run bench -- hooks [--model MODEL] [--steps N]`: what callbacks and log lines cost of a step of the quickstart, and its limit.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer, type TrainCallback } from "@tunesmith/trainer";
import { conversationOf, quickstartRows } from "../../examples/quickstart/data-files.ts";
import { generateTickets } from "../../examples/quickstart/tickets.ts";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";

/** Percent of a step that hooks and logging may cost. */
const limit = 1;

/** Steps that are not counted: buffers grow, code is compiled. */
const warmUp = 2;

/** Callbacks of each kind between the two that look at the clock. */
const between: readonly TrainCallback[] = [
  () => {},
  async () => {},
  (event, { control }) => {
    if (event.type === "step") control.log({ tokens: event.tokens });
  },
  { name: "counter", onEvent: () => {}, state: { save: () => 0, load: () => {} } },
];

/**
 * Trains as the quickstart does, with a log line, an event file and six callbacks in each step. What is neither the step itself nor a wait
 * is what hooks and logging cost: from the event of a step until the next one begins.
 */
export async function hooks(path: string | null = findSmollm2(), steps = 12): Promise<Record<string, unknown>> {
  if (path === null)
    throw new Error("[bench hooks] expected --model MODEL or SmolLM2 where the quickstart keeps it, got neither");
  const work = mkdtempSync(join(tmpdir(), "tunesmith-hooks-"));
  const costs: number[] = [];
  const seconds: number[] = [];
  let since: number | null = null;
  const first: TrainCallback = (event) => {
    if (event.type !== "step") return;
    since = performance.now();
    if (event.step > warmUp) seconds.push(event.seconds);
  };
  const last: TrainCallback = (event) => {
    if (event.type === "stepBegin" && since !== null && event.step > warmUp + 1) costs.push(performance.now() - since);
  };
  try {
    const rows = generateTickets({ ...quickstartRows, train: 4 * steps, heldOut: 1 }).train.map(conversationOf);
    await new SFTTrainer({
      model: await loadModel(path),
      trainDataset: rows,
      args: {
        outputDir: join(work, "run"),
        maxSteps: steps,
        perDeviceTrainBatchSize: 4,
        learningRate: 1e-3,
        saveStrategy: "no",
        reportTo: "tensorboard",
      },
      peftConfig: { r: 16, loraAlpha: 32 },
      callbacks: [first, ...between, last],
    }).train();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const [cost, step] = [median(costs), 1000 * median(seconds)];
  const share = (100 * cost) / step;
  console.log(
    `a step ${step.toFixed(1)} ms, hooks and logging ${cost.toFixed(3)} ms (at most ${Math.max(...costs).toFixed(3)})`,
  );
  console.log(`${share.toFixed(3)} % of a step  (limit ${limit}) ${share < limit ? "held" : "NOT HELD"}`);
  const results = { step_ms: step, cost_ms: cost, most_ms: Math.max(...costs), percent: share, limit };
  return { benchmark: "hooks", machine: machine(), steps, results };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

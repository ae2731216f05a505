// What else a program does goes on beside its run: an HTTP server and a worker thread, by counts and not by the clock.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { FastLanguageModel, SFTTrainer, type TrainCallback } from "../../packages/cli/src/index.ts";
import { conversations } from "../support/rows.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

/** Answers that must come while the run is going on, and steps within which it would end without them. */
const [wanted, most] = [25, 3000];

/** A run that ends when everything has been answered often enough, and otherwise goes on for long. */
async function runUntil(isAnswered: () => boolean): Promise<string> {
  const callback: TrainCallback = (event, { control }) => {
    if (event.type === "step" && isAnswered()) control.stop();
  };
  const model = await FastLanguageModel.fromPretrained(smallModel("llama"), { device: "cpu" });
  const { stoppedBy } = await new SFTTrainer({
    model: model.getPeftModel({ r: 4 }),
    trainDataset: conversations(20),
    evalDataset: conversations(3),
    args: {
      outputDir: join(temporaryFolder(), "run"),
      maxSteps: most,
      perDeviceTrainBatchSize: 1,
      evalSteps: 50,
      saveSteps: 100,
      saveTotalLimit: 1,
    },
    callbacks: [callback],
  }).train();
  return stoppedBy;
}

test("an HTTP server of the same program answers one request after the other while a run trains", async () => {
  const server = createServer((request, response) => response.end(request.url));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  let answered = 0;
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      const response = await fetch(`http://127.0.0.1:${port}/${answered}`);
      expect(await response.text()).toBe(`/${answered}`);
      answered += 1;
    }
  })();
  expect(await runUntil(() => answered >= wanted)).toBe("callback");
  isOver = true;
  await asking;
});

test("a worker thread works and is answered while a run trains", async () => {
  const source = `
    const { parentPort } = require("node:worker_threads");
    parentPort.on("message", (n) => {
      let sum = 0;
      for (let k = 0; k <= n * 1000; k += 1) sum += k;
      parentPort.postMessage(sum);
    });`;
  const worker = new Worker(source, { eval: true });
  onTestFinished(async () => void (await worker.terminate()));
  let answered = 0;
  worker.on("message", (sum: number) => {
    const last = answered * 1000;
    expect(sum).toBe((last * (last + 1)) / 2);
    answered += 1;
    worker.postMessage(answered);
  });
  worker.postMessage(0);
  expect(await runUntil(() => answered >= wanted)).toBe("callback");
});

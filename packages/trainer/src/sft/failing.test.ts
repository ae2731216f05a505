import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CallbackError, FileSystemError, type Generator, NonFiniteError, OutOfMemoryError } from "@tunesmith/core";
import { expect, test } from "vitest";
import { aDay, tried } from "../../../core/src/testing/trials.ts";
import type { TrainEvent } from "../index.ts";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

test("a full disk says how to go on", async () => {
  for (const words of ["No space left on device (os error 28)", "ENOSPC: no space left on device, write"]) {
    let saved = 0;
    const fake = {
      onCall: (name: string) => {
        if (name !== "saveCheckpoint") return;
        if (saved === 1) throw new FileSystemError(`[model.safetensors] expected to write, got: ${words}`);
        saved += 1;
      },
    };
    const { trainer: made } = await trainer({ saveSteps: 2 }, fake);
    await expect(made.train()).rejects.toThrow(
      "free some space; the newest checkpoint is that of step 2; then: train({ resumeFromCheckpoint: true })",
    );
    const { trainer: first } = await trainer({ saveSteps: 2 }, fake);
    await expect(first.train()).rejects.toThrow(/got a full disk .*no checkpoint has been written yet/);
  }
});

test("a step that is not finite is skipped and named with its row; three in a row end the run", async () => {
  const { trainer: made } = await trainer(
    { trainSamplingStrategy: "sequential", saveSteps: 1 },
    { nonFiniteSteps: [2] },
  );
  const { events, error } = await record(made.train());
  expect(error).toBeNull();
  expect(ofType(events, "warning").map(({ step, message }) => [step, message])).toEqual([
    [2, expect.stringMatching(/step 2: loss NaN, gradient norm NaN; rows: trainDataset:9; not finite/)],
  ]);
  expect(ofType(events, "done")[0]?.result.trainingLoss).toBeGreaterThan(0);

  const hopeless = await trainer({ saveSteps: 1 }, { nonFiniteSteps: [3, 4, 5] });
  const end = await record(hopeless.trainer.train());
  expect(end.error).toBeInstanceOf(NonFiniteError);
  // That of step 2 may hold what made step 3 fail; those of 3 and 4 are the same weights.
  expect(end.error?.message).toContain(`the last good checkpoint is ${join(hopeless.outputDir, "checkpoint-1")};`);
  expect(end.error?.message).toMatch(/rows: trainDataset:\d+; in the gradient of table\)/);
  expect(ofType(end.events, "step")).toHaveLength(5);

  const apart = await trainer({}, { nonFiniteSteps: [1, 2, 4, 5] });
  expect((await record(apart.trainer.train())).error).toBeNull();
});

test("the last good checkpoint is there under any limit, whole, and never one with values that are not finite", async () => {
  const short = { saveSteps: 1, saveTotalLimit: 1, numTrainEpochs: 3 };
  const kept = await trainer(short, { nonFiniteSteps: [5, 6, 7] });
  const end = await record(kept.trainer.train());
  expect(end.error?.message).toContain(join(kept.outputDir, "checkpoint-3"));
  expect(await readdir(kept.outputDir)).toContain("checkpoint-3");

  const early = await trainer(short, { nonFiniteSteps: [1, 2, 3] });
  expect((await record(early.trainer.train())).error?.message).toContain("there is no good checkpoint yet");

  let saves = 0;
  const onCall = (name: string) => {
    if (name !== "saveCheckpoint") return;
    saves += 1;
    if (saves === 4) throw new NonFiniteError("[exp_avg_sq.table] expected finite values to save, got inf at 0");
  };
  const grown = await trainer(short, { onCall });
  const { error } = await record(grown.trainer.train());
  expect(error).toBeInstanceOf(NonFiniteError);
  expect(error?.message).toContain(
    `exp_avg_sq.table] expected finite values to save, got inf at 0; the last good checkpoint is`,
  );
  expect(error?.message).toContain(join(grown.outputDir, "checkpoint-3"));
  expect((await readdir(grown.outputDir)).filter((name) => name.startsWith(".tmp"))).toEqual([]);
});

test("callbacks see every event in order, are awaited, and may use the session", async () => {
  const seen: string[] = [];
  let tokens = 0;
  const { trainer: made } = await trainer(
    {},
    {},
    {
      callbacks: [
        async (event, { session }) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          seen.push(event.type);
          if (event.type !== "done") return;
          for await (const _ of session.generate({ prompts: [Int32Array.of(130)], maxNewTokens: 3 })) tokens += 1;
        },
      ],
    },
  );
  const { events } = await record(made.train());
  // Who iterates is told once of each step.
  expect(seen.filter((type) => type !== "stepBegin")).toEqual(events.map((event) => event.type));
  expect(seen.filter((type) => type === "stepBegin")).toHaveLength(6);
  expect(tokens).toBeGreaterThan(0);
});

test(
  "a callback that throws at any event ends the run with its error, which another run goes on from",
  async () => {
    const events: string[] = [];
    const noting = [({ type }: TrainEvent) => void events.push(type)];
    await (await trainer({ saveSteps: 2 }, {}, { callbacks: noting })).trainer.train();
    for (const [number, type] of events.entries()) {
      let seen = 0;
      const callbacks = [
        () => {
          if (seen++ === number) throw new Error("out of coffee");
        },
      ];
      const { trainer: made, outputDir } = await trainer({ saveSteps: 2 }, {}, { callbacks });
      const { error } = await record(made.train());
      expect(error, type).toBeInstanceOf(CallbackError);
      const names = await readdir(outputDir);
      expect(names.filter((name) => name.startsWith("."))).toEqual([]);
      const resumeFromCheckpoint = names.includes("config.resolved.yaml");
      const { trainer: next } = await trainer({ saveSteps: 2, outputDir });
      expect((await record(next.train({ resumeFromCheckpoint }))).error, type).toBeNull();
    }
    tried(events.length);
  },
  aDay,
);

test(
  "memory that ends at any call of the session ends the run with its error, and the trainer trains again",
  async () => {
    const args = { saveSteps: 2, saveTotalLimit: 2 };
    const calls: string[] = [];
    const straight = await trainer(args, { onCall: (name) => calls.push(name) });
    const { lossHash } = await straight.trainer.train();
    // A session that cannot be given back is no matter of memory.
    const asking = [...calls.entries()].filter(([, name]) => name !== "dispose");
    for (const [number, name] of asking) {
      let seen = 0;
      const onCall = () => {
        if (seen++ === number) throw new OutOfMemoryError("[cpu] expected 8 bytes, got none: 4 in use, 6 at peak");
      };
      const { trainer: made, outputDir } = await trainer(args, { onCall });
      const { error } = await record(made.train());
      expect(error, `call ${number}, ${name}`).toBeInstanceOf(OutOfMemoryError);
      const names = await readdir(outputDir);
      expect(names.filter((one) => one.startsWith("."))).toEqual([]);
      const resumeFromCheckpoint = names.includes("config.resolved.yaml");
      const again = await made.train({ resumeFromCheckpoint });
      expect(again.lossHash, `after call ${number}, ${name}`).toBe(lossHash);
    }
    tried(asking.length);
  },
  aDay,
);

test("a callback that throws ends the run with its error, and a checkpoint is left", async () => {
  const cause = new Error("out of coffee");
  let session: Generator | null = null;
  const { trainer: made, outputDir } = await trainer(
    {},
    {},
    {
      callbacks: [
        (event, context) => {
          session = context.session;
          if (event.type === "log" && event.step === 2) throw cause;
        },
      ],
    },
  );
  const { error, events } = await record(made.train());
  expect(error).toBeInstanceOf(CallbackError);
  expect(error).toMatchObject({ cause, message: expect.stringContaining("out of coffee") });
  expect(events.at(-1)).toMatchObject({ type: "checkpoint", step: 2 });
  expect(await readdir(join(outputDir, "checkpoint-2"))).toContain("MANIFEST.json");
  await expect((session as unknown as Generator).evaluate({} as never)).rejects.toThrow(/after dispose/);
});

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { digestFile, FileSystemError, fileOperations, TunesmithError } from "@tunesmith/core";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { aDay, isNightly, tried } from "../../../core/src/testing/trials.ts";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan as roomyPlan } from "../testing/memory-plan.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

vi.setConfig({ testTimeout: aDay });

afterEach(() => {
  fileOperations.before = null;
  fileOperations.free = null;
});

function trainer(outputDir: string, args: object = {}, onEvent: (event: TrainEvent) => void = () => {}) {
  return new SFTTrainer({
    model: fakeModel(),
    trainDataset: conversations(14),
    evalDataset: conversations(5),
    args: { outputDir, maxLength: 512, maxSteps: 4, saveSteps: 1, saveTotalLimit: 1, evalSteps: 2, ...args },
    callbacks: [onEvent],
  });
}

const refusal = (code: string) => Object.assign(new Error(`${code}: refused by the test`), { code });

/** Lets operations fail as the system does, those whose number is asked for. Gives how many there were. */
function refuse(code: string, isRefused: (number: number, operation: string) => boolean): () => number {
  let count = 0;
  fileOperations.before = (operation) => {
    if (isRefused(count++, operation)) throw refusal(code);
  };
  return () => {
    fileOperations.before = null;
    return count;
  };
}

async function outcome(runDir: string) {
  const text = (name: string) => readFile(join(runDir, name), "utf8");
  return {
    names: (await readdir(runDir)).sort(),
    adapter: await digestFile(join(runDir, "adapter/adapter_model.safetensors")),
    metrics: await text("metrics.jsonl"),
  };
}

async function wholeRun() {
  const outputDir = await scratchFolder(onTestFinished);
  await trainer(outputDir).train();
  return outcome(outputDir);
}

/** Only what has its place: no half file, no left-over. */
async function expectClean(outputDir: string): Promise<void> {
  for (const name of await readdir(outputDir)) {
    // A lock that could not be removed counts for nothing.
    if (name !== ".lock") expect(name).not.toMatch(/^\./u);
    if (name.startsWith("checkpoint-")) expect(await readdir(join(outputDir, name))).toContain("MANIFEST.json");
  }
}

test("one refusal at any operation stops the run with a typed error and nothing half, and it goes on from there", async () => {
  const whole = await wholeRun();
  const codes = ["ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT"];
  // Each operation with the next of the codes; in a nightly run each with every one.
  const repeated = isNightly ? codes.length : 1;
  for (let attempt = 0; ; attempt += 1) {
    const number = Math.floor(attempt / repeated);
    const outputDir = join(await scratchFolder(onTestFinished), "run");
    const end = refuse(codes[attempt % codes.length] as string, (n) => n === number);
    const { error } = await record(trainer(outputDir).train());
    if (end() <= number) {
      tried(attempt);
      break;
    }
    // What cannot be cleaned away now is cleaned away at the next start.
    if (error === null) continue;
    expect(TunesmithError.isInstance(error), error.stack).toBe(true);
    const begun = await stat(join(outputDir, "config.resolved.yaml")).catch(() => null);
    if (error instanceof FileSystemError && begun !== null) expect(error.message).toContain(outputDir);
    const later = await record(trainer(outputDir).train({ resumeFromCheckpoint: begun !== null }));
    expect(later.error, `operation ${number}`).toBeNull();
    expect(await outcome(outputDir)).toEqual(whole);
  }
});

test("with continue one refusal in the run is a warning, and the result is that of a run without", async () => {
  const whole = await wholeRun();
  const outputDir = await scratchFolder(onTestFinished);
  // The second checkpoint and the line before it.
  let on = false;
  const end = refuse("ENOSPC", () => on);
  const going = trainer(outputDir, { onSaveError: "continue" }, (event) => {
    if (event.type === "step") on = event.step === 2;
  });
  const { events, error } = await record(going.train());
  end();
  expect(error).toBeNull();
  const said = ofType(events, "warning").map(({ message }) => message);
  expect(said[0]).toMatch(/lines of .*metrics\.jsonl could not be written, the run goes on without: .*ENOSPC/);
  expect(said[1]).toMatch(/the checkpoint of step 2 could not be written/);
  expect(said).toHaveLength(2);
  expect(ofType(events, "checkpoint").map(({ step }) => step)).toEqual([1, 3, 4]);
  // What could not be written at its time is there in its place.
  expect(await outcome(outputDir)).toEqual(whole);
});

test("with pause the run holds until it is told to go on, and loses nothing", async () => {
  const whole = await wholeRun();
  const outputDir = await scratchFolder(onTestFinished);
  let full = false;
  const end = refuse("ENOSPC", () => full);
  const holding = trainer(outputDir, { onSaveError: "pause" }, (event) => {
    if (event.type === "step") full = event.step === 3;
  });
  const run = holding.train();
  const held: string[] = [];
  for await (const event of run) {
    if (event.type !== "warning") continue;
    held.push(event.message);
    await run.pause();
    expect(run.state).toBe("paused");
    // Still full the first time it is told to go on.
    if (held.length > 1) full = false;
    run.resume();
  }
  end();
  expect(held).toHaveLength(2);
  expect(held[0]).toMatch(
    /the run holds: .*ENOSPC.*; free some space .* call resume\(\) or, at the command line: kill -CONT \d+/,
  );
  expect(await outcome(outputDir)).toEqual(whole);
});

test("a run that holds can be stopped", async () => {
  const outputDir = await scratchFolder(onTestFinished);
  const end = refuse("ENOSPC", (_, operation) => operation === "append to");
  const controller = new AbortController();
  const holding = trainer(outputDir, { onSaveError: "pause" }, ({ type }) => {
    if (type === "warning") controller.abort();
  });
  const { error } = await record(holding.train({ signal: controller.signal }));
  end();
  expect(error).toMatchObject({ code: "IO", message: expect.stringContaining("got a full disk") });
});

test("a disk that stays full keeps the newest good checkpoint, and says so", async () => {
  for (const onSaveError of ["stop", "continue"] as const) {
    const outputDir = await scratchFolder(onTestFinished);
    let full = false;
    const end = refuse("ENOSPC", (_, operation) => full && operation !== "delete");
    const filling = trainer(outputDir, { onSaveError }, (event) => {
      if (event.type === "step" && event.step === 3) full = true;
    });
    const { error } = await record(filling.train());
    end();
    expect(error).toBeInstanceOf(FileSystemError);
    expect(error?.message).toMatch(
      /got a full disk .*; the newest checkpoint is that of step 2; then: train\(\{ resumeFromCheckpoint/,
    );
    await expectClean(outputDir);
    expect(await readdir(outputDir)).toContain("checkpoint-2");
    const later = await record(trainer(outputDir).train({ resumeFromCheckpoint: true }));
    expect(later.error).toBeNull();
    expect(await outcome(outputDir)).toEqual(await wholeRun());
  }
});

test("a disk without room for the checkpoints of a run is told before the first step, and by a dry run", async () => {
  const plan = { ...roomyPlan, trained: gib, optimizer: 2 * gib };
  const warnings = async (free: number, args: object) => {
    fileOperations.free = free;
    const outputDir = join(await scratchFolder(onTestFinished), "run");
    const dry = await new SFTTrainer({
      model: fakeModel({ plan }),
      trainDataset: conversations(14),
      evalDataset: conversations(5),
      args: { outputDir, maxLength: 512, maxSteps: 10, saveSteps: 2, memoryCheck: "off", ...args },
    }).dryRun();
    return dry.warnings.filter((message) => message.includes("free space"));
  };
  // Five of three gigabytes and the result of one.
  expect(await warnings(15 * gib, {})).toEqual([
    expect.stringMatching(
      /outputDir .*run: expected 16\.00 GiB of free space for 5 checkpoints of 3\.00 GiB and the result, got 15\.00 GiB; free some space, set saveTotalLimit, or/,
    ),
  ]);
  expect(await warnings(17 * gib, {})).toEqual([]);
  expect(await warnings(10 * gib, { saveTotalLimit: 1 })).toEqual([expect.stringContaining("for 3 checkpoints")]);
  expect(await warnings(11 * gib, { saveTotalLimit: 1 })).toEqual([]);
  expect(await warnings(11 * gib, { saveTotalLimit: 1, earlyStoppingPatience: 2 })).toHaveLength(1);
  expect(await warnings(5 * gib, { saveStrategy: "end" })).toEqual([]);
  expect(await warnings(2 * gib, { saveStrategy: "no" })).toEqual([]);
  expect(await warnings(0, { saveStrategy: "no" })).toHaveLength(1);
});

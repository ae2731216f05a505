import { cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, digestFile, TunesmithError } from "@tunesmith/core";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { readRunConfig, SFTTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

vi.setConfig({ testTimeout: 60_000 });

let original: string;

function trainer(outputDir: string, onCall: (name: string) => void = () => {}) {
  return new SFTTrainer({
    model: fakeModel({ onCall }),
    trainDataset: conversations(14),
    evalDataset: conversations(5),
    args: { outputDir, maxLength: 512, maxSteps: 6, saveSteps: 2, evalSteps: 2, perDeviceTrainBatchSize: 2 },
  });
}

beforeAll(async () => {
  const cleanUps: (() => Promise<void>)[] = [];
  original = await scratchFolder((cleanUp) => cleanUps.push(cleanUp));
  await trainer(original).train();
  await rm(join(original, "report.json"));
  return () => Promise.all(cleanUps.map((cleanUp) => cleanUp())).then(() => {});
});

async function copy(): Promise<string> {
  const outputDir = await scratchFolder(onTestFinished);
  await cp(original, outputDir, { recursive: true });
  return outputDir;
}

/** Writes a file of a checkpoint and its true digest: the manifest has nothing against it. */
async function craft(checkpoint: string, file: string, text: string): Promise<void> {
  await writeFile(join(checkpoint, file), text);
  const path = join(checkpoint, "MANIFEST.json");
  const manifest = JSON.parse(await readFile(path, "utf8"));
  manifest.files[file] = await digestFile(join(checkpoint, file));
  await writeFile(path, JSON.stringify(manifest));
}

async function change(checkpoint: string, file: string, edit: (value: Record<string, unknown>) => void): Promise<void> {
  const value = JSON.parse(await readFile(join(checkpoint, file), "utf8"));
  edit(value);
  await craft(checkpoint, file, JSON.stringify(value));
}

const state = "trainer_state.json";

/** What a damage is named by, and how it is done to the folder of a checkpoint. */
type Damage = [string, (checkpoint: string) => Promise<void>];

const damages: Damage[] = [
  ["its value", (path) => craft(path, state, "null")],
  ["its value", (path) => craft(path, state, "[]")],
  ["trainer_state", (path) => craft(path, state, "")],
  ["best.bestStep", (path) => change(path, state, (value) => Object.assign(value, { best: { best: 1 } }))],
  ["fingerprint", (path) => change(path, "data_state.json", (value) => delete value.fingerprint)],
  [
    "one step in its name",
    (path) => change(path, "data_state.json", (value) => Object.assign(value, { global_step: 3 })),
  ],
  ["one step in its name", (path) => change(path, state, (value) => Object.assign(value, { global_step: 3 }))],
  ["its value", (path) => writeFile(join(path, "MANIFEST.json"), "null")],
  ["its value", (path) => writeFile(join(path, "MANIFEST.json"), '"files"')],
  ["files", (path) => writeFile(join(path, "MANIFEST.json"), '{"files":null}')],
  ["files.a", (path) => writeFile(join(path, "MANIFEST.json"), '{"files":{"a":null}}')],
  ["files.a.size", (path) => writeFile(join(path, "MANIFEST.json"), '{"files":{"a":{"size":"1","sha256":1}}}')],
  [
    "MANIFEST",
    async (path) => {
      await rm(join(path, "MANIFEST.json"));
      await mkdir(join(path, "MANIFEST.json"));
    },
  ],
  [
    "optimizer.safetensors",
    async (path) => {
      await rm(join(path, "optimizer.safetensors"));
      await mkdir(join(path, "optimizer.safetensors"));
    },
  ],
  [
    "MANIFEST",
    async (path) => {
      await rm(path, { recursive: true });
      await writeFile(path, "");
    },
  ],
  [
    "MANIFEST",
    async (path) => {
      await rm(path, { recursive: true });
      await symlink("checkpoint-none", path);
    },
  ],
];

const unlisted = (file: string): Damage => [
  file,
  async (checkpoint) => {
    const path = join(checkpoint, "MANIFEST.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    expect(delete manifest.files[file]).toBe(true);
    await writeFile(path, JSON.stringify(manifest));
  },
];

const gone = (part: string): Damage => [part, (path) => change(path, state, (value) => delete value[part])];

const later = [
  "asked",
  "best_only",
  "checkpoint_told",
  "health",
  "last",
  "learning_rate_override",
  "phases",
  "schedule",
  "started_at",
  "time_estimate",
];

test("a checkpoint with whatever wrong in it is named, and the one before it is taken", async () => {
  const parts = Object.keys(JSON.parse(await readFile(join(original, "checkpoint-6", state), "utf8")));
  const damagedParts = parts.flatMap((part): Damage[] => [
    // What came with a later version may be absent.
    ...(later.includes(part) ? [] : [gone(part)]),
    [part, (path) => change(path, state, (value) => Object.assign(value, { [part]: ["wrong"] }))],
  ]);
  const required = [state, "data_state.json", "adapter_model.safetensors", "optimizer.safetensors"];
  for (const [place, damage] of [...damagedParts, ...damages, ...required.map(unlisted)]) {
    const outputDir = await copy();
    await damage(join(outputDir, "checkpoint-6"));
    const { events, error } = await record(trainer(outputDir).train({ resumeFromCheckpoint: true }));
    expect(error, place).toBeNull();
    const [first] = ofType(events, "warning").map(({ message }) => message);
    expect(first).toContain(join(outputDir, "checkpoint-6"));
    expect(first).toContain(place);
    expect(ofType(events, "prepared")[0]?.step).toBe(4);
    const named = trainer(outputDir).train({ resumeFromCheckpoint: join(outputDir, "checkpoint-6") });
    // It is there again, written by the run that went on.
    expect((await record(named)).error).toBeNull();
  }
});

test("weights that cannot be loaded though their digest is right are named, and the checkpoint before is taken", async () => {
  const outputDir = await copy();
  let loads = 0;
  const failing = trainer(outputDir, (name) => {
    if (name !== "loadCheckpoint") return;
    loads += 1;
    if (loads === 1)
      throw new CheckpointError("[model.layers.0] expected shape [2, 2], got [3]; it is of another model");
  });
  const { events, error } = await record(failing.train({ resumeFromCheckpoint: true }));
  expect(error).toBeNull();
  expect(ofType(events, "warning")[0]?.message).toMatch(/checkpoint-6\] could not be loaded: .*expected shape/);
  expect(ofType(events, "prepared")[0]?.step).toBe(4);
  const always = trainer(await copy(), (name) => {
    if (name === "loadCheckpoint")
      throw new CheckpointError("[step] expected shape [1], got no such tensor; it is of another model");
  });
  await expect(always.train({ resumeFromCheckpoint: true })).rejects.toThrow(CheckpointError);
});

test("where no checkpoint is whole the run is refused, and nothing there is changed", async () => {
  const outputDir = await copy();
  for (const step of [2, 4, 6]) await truncate(join(outputDir, `checkpoint-${step}`, "MANIFEST.json"), 5);
  await expect(trainer(outputDir).train({ resumeFromCheckpoint: true })).rejects.toThrow(
    /got none that is whole; remove/,
  );
  expect(await readFile(join(outputDir, "metrics.jsonl"))).toEqual(await readFile(join(original, "metrics.jsonl")));
});

test("a configuration that cannot be read is refused in one line with a type", async () => {
  const broken: [string, RegExp][] = [
    ["", /got null/],
    ["null", /got null/],
    ["[]", /got \[\]/],
    ["text", /got "text"/],
    ["model: 3\n", /got model: /],
    ["data: a\n", /got model: /],
    ["model: a\ndata: 7\n", /got data: /],
    ["model: a\nevalData: []\n", /got evalData: /],
    ["model: [a\nb: {", /expected the configuration of a run/],
    ["model: a\nmaxSteps: many\n", /maxSteps/],
    ["model: a\nmaxStps: 3\n", /maxStps/],
    ["model: a\nr: null\n", /\[r\]/],
    ["model: a\ntrainer: ppo\n", /expected trainer sft or dpo or grpo, got "ppo"/],
    ["model: a\ntrainer: dpo\npacking: true\n", /"packing"/],
  ];
  for (const [text, message] of broken) {
    const folder = await scratchFolder(onTestFinished);
    await writeFile(join(folder, "config.resolved.yaml"), text);
    const error = await readRunConfig(folder).then(
      () => null,
      (caught: Error) => caught,
    );
    expect(TunesmithError.isInstance(error), text).toBe(true);
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toContain("\n");
  }
});

test("a link in the run folder that leads out is not followed", async () => {
  const outside = join(await scratchFolder(onTestFinished), "mine");
  for (const name of ["metrics.jsonl", "samples.jsonl"]) {
    const outputDir = await copy();
    await writeFile(outside, "precious");
    await rm(join(outputDir, name));
    await symlink(outside, join(outputDir, name));
    await expect(trainer(outputDir).train({ resumeFromCheckpoint: true })).rejects.toThrow(/got a symbolic link/);
    expect(await readFile(outside, "utf8")).toBe("precious");
  }
  const outputDir = await copy();
  for (const name of ["config.resolved.yaml", "env.json", "report.json"]) {
    await rename(join(outputDir, name), `${outside}-${name}`).catch(() => writeFile(`${outside}-${name}`, "precious"));
    await symlink(`${outside}-${name}`, join(outputDir, name));
  }
  const before = await readFile(`${outside}-env.json`, "utf8");
  await writeFile(`${outside}-env.json`, `${before} `);
  await record(trainer(outputDir).train({ resumeFromCheckpoint: true }));
  expect(await readFile(`${outside}-env.json`, "utf8")).toBe(`${before} `);
  expect(await readFile(`${outside}-report.json`, "utf8")).toBe("precious");
});

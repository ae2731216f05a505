import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";
import { EventFile, maskedCrc32c } from "./event-file.ts";

vi.setConfig({ testTimeout: 60_000 });

/** A record of a file, its sums checked: its step, its scalars, the version that a first one has, whether a run begins there. */
interface Read {
  step: number;
  scalars: Record<string, number>;
  version: string | null;
  begins: boolean;
}

function varintAt(bytes: Buffer, start: number): [value: number, next: number] {
  let [value, at, factor] = [0, start, 1];
  for (; (bytes[at] ?? 0) >= 128; at += 1, factor *= 128) value += ((bytes[at] as number) - 128) * factor;
  return [value + (bytes[at] as number) * factor, at + 1];
}

/** Fields of a message. */
function* fields(bytes: Buffer): Generator<[field: number, value: number | Buffer]> {
  for (let at = 0; at < bytes.length; ) {
    const [key, next] = varintAt(bytes, at);
    const kind = key & 7;
    if (kind === 1) yield [key >> 3, bytes.readDoubleLE(next)];
    if (kind === 5) yield [key >> 3, bytes.readFloatLE(next)];
    if (kind === 1 || kind === 5) {
      at = next + (kind === 1 ? 8 : 4);
      continue;
    }
    const [value, after] = varintAt(bytes, next);
    at = kind === 2 ? after + value : after;
    yield [key >> 3, kind === 2 ? bytes.subarray(after, at) : value];
  }
}

function read(file: Buffer): Read[] {
  const found: Read[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 8)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    expect(file.readUInt32LE(at + 12 + length)).toBe(maskedCrc32c(data));
    const one: Read = { step: 0, scalars: {}, version: null, begins: false };
    for (const [field, value] of fields(data)) {
      if (field === 2) one.step = value as number;
      if (field === 3) one.version = value.toString();
      if (field === 7) one.begins = true;
      if (field !== 5) continue;
      for (const [, entry] of fields(value as Buffer)) {
        const named = new Map(fields(entry as Buffer));
        one.scalars[String(named.get(1))] = named.get(2) as number;
      }
    }
    found.push(one);
    at += 16 + length;
  }
  return found;
}

const readAll = async (folder: string) =>
  Promise.all((await readdir(folder)).sort().map(async (name) => read(await readFile(join(folder, name)))));

test("the checksum is CRC-32C, masked as TFRecord has it", () => {
  // RFC 3720, B.4: 32 bytes of zeros, and of ones.
  const unmasked = (sum: number) => {
    const rest = (sum - 0xa282ead8) >>> 0;
    return ((rest >>> 17) | (rest << 15)) >>> 0;
  };
  expect(unmasked(maskedCrc32c(new Uint8Array(32)))).toBe(0x8a9136aa);
  expect(unmasked(maskedCrc32c(new Uint8Array(32).fill(255)))).toBe(0x62a8ab43);
});

test("numbers of long steps come back, and what is added is written once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-events-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = await EventFile.begin(join(folder, "new"), 0);
  file.add({ step: 3_000_000_000, loss: 1.5, word: "no number" });
  const writing = file.flush();
  file.add({ step: 3_000_000_001, loss: 2 });
  await writing;
  await file.flush();
  await file.flush();
  await file.close();
  const [[version, line, ...others] = []] = await readAll(join(folder, "new"));
  expect(version).toMatchObject({ version: "brain.Event:2" });
  expect(line).toMatchObject({ step: 3_000_000_000, scalars: { "train/loss": 1.5 }, begins: false });
  expect(others).toEqual([expect.objectContaining({ step: 3_000_000_001, scalars: { "train/loss": 2 } })]);
});

test("reportTo tensorboard writes every line of metrics.jsonl under transformers' tags", async () => {
  const { trainer: sft, outputDir } = await trainer({ reportTo: ["tensorboard"], evalSteps: 3, loggingSteps: 2 });
  expect((await record(sft.train())).error).toBeNull();
  const [events = []] = await readAll(join(outputDir, "runs"));
  const text = await readFile(join(outputDir, "metrics.jsonl"), "utf8");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);
  expect(lines.length).toBeGreaterThan(4);
  expect(events.slice(1)).toEqual(
    lines.map(({ step, ...metrics }) => {
      const tag = (name: string) => (name.startsWith("eval_") ? `eval/${name.slice(5)}` : `train/${name}`);
      const scalars = Object.entries(metrics).map(([name, value]) => [tag(name), Math.fround(value)]);
      return { step, scalars: Object.fromEntries(scalars), version: null, begins: false };
    }),
  );
});

test("a resumed run begins a file that takes the place of what was written after its checkpoint", async () => {
  const args = { reportTo: "tensorboard", saveSteps: 2, evalStrategy: "no" };
  const { trainer: sft, outputDir } = await trainer(args);
  await sft.train();
  await rm(join(outputDir, "checkpoint-6"), { recursive: true });
  const { trainer: again } = await trainer({ ...args, outputDir });
  expect((await record(again.train({ resumeFromCheckpoint: true }))).error).toBeNull();
  const files = await readAll(join(outputDir, "runs"));
  const second = files.find((records) => records[1]?.begins);
  expect(second?.slice(1).map(({ step, begins }) => [step, begins])).toEqual([
    [5, true],
    [5, false],
    [6, false],
  ]);
});

test("without reportTo, and in a folder of TENSORBOARD_LOGGING_DIR", async () => {
  const { trainer: plain, outputDir } = await trainer({ maxSteps: 1 });
  await plain.train();
  expect(await readdir(outputDir)).not.toContain("runs");
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-events-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  vi.stubEnv("TENSORBOARD_LOGGING_DIR", folder);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const { trainer: sft } = await trainer({ maxSteps: 1, reportTo: "tensorboard" });
  await sft.train();
  expect(await readdir(folder)).toHaveLength(1);
});

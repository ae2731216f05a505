import { cp, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestFile } from "@tunesmith/core";
import { philox } from "@tunesmith/curriculum";
import { expect, onTestFinished, test } from "vitest";
import { aDay, trials, tried } from "../../../core/src/testing/trials.ts";
import { SFTTrainer, type TrainEvent } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { ofType, record } from "../testing/record.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

function trainer(outputDir: string, onEvent: (event: TrainEvent) => void = () => {}): SFTTrainer {
  return new SFTTrainer({
    model: fakeModel(),
    trainDataset: conversations(14),
    args: { maxLength: 512, outputDir, maxSteps: 3, saveSteps: 1, evalStrategy: "no" },
    callbacks: [onEvent],
  });
}

const adapterOf = (run: string) => digestFile(join(run, "adapter/adapter_model.safetensors"));

/** Turns one bit of a file, or cuts it short. Gives what was done. */
async function damage(path: string, [kind, place, bit]: readonly number[]): Promise<string> {
  const bytes = await readFile(path);
  const at = (place as number) % bytes.length;
  if ((kind as number) % 4 === 0) {
    await truncate(path, at);
    return `cut to ${at} bytes`;
  }
  bytes[at] = (bytes[at] as number) ^ (1 << ((bit as number) % 8));
  await writeFile(path, bytes);
  return `bit ${(bit as number) % 8} of byte ${at}`;
}

test(
  "whatever bit of a checkpoint is turned, or wherever a file of it ends, it is named and the one before it is taken",
  async () => {
    const straight = await scratchFolder(onTestFinished);
    await trainer(straight).train();
    const whole = await adapterOf(straight);
    const original = await scratchFolder(onTestFinished);
    const stop = (event: TrainEvent) => {
      if (event.type === "step" && event.step === 2) throw new Error("stop");
    };
    await record(trainer(original, stop).train());
    const files = (await readdir(join(original, "checkpoint-2"))).sort();
    const count = trials(2 * files.length);
    for (let trial = 0; trial < count; trial += 1) {
      const outputDir = await scratchFolder(onTestFinished);
      await cp(original, outputDir, { recursive: true });
      const name = files[trial % files.length] as string;
      const done = await damage(join(outputDir, "checkpoint-2", name), philox([trial, 0, 0, 0], [6, 0]));
      const { events, error } = await record(trainer(outputDir).train({ resumeFromCheckpoint: true }));
      expect(error, `${name}, ${done}`).toBeNull();
      const warnings = ofType(events, "warning").map(({ message }) => message);
      const from = ofType(events, "prepared")[0]?.step;
      // A turned bit of the manifest that leaves it saying the same is no damage.
      if (name !== "MANIFEST.json" || warnings.length > 0) {
        // A digest that is turned speaks of the file that it stands for.
        const named = name === "MANIFEST.json" ? join(outputDir, "checkpoint-2") : name;
        expect(warnings, `${name}, ${done}`).toEqual([expect.stringContaining(named)]);
        expect(from, `${name}, ${done}`).toBe(1);
      }
      expect(await adapterOf(outputDir), `${name}, ${done}`).toEqual(whole);
    }
    tried(count);
  },
  aDay,
);

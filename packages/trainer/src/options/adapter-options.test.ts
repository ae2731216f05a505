import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loraConfigSchema, OptionError } from "@tunesmith/core";
import { expect, onTestFinished, test } from "vitest";
import { scratchFolder } from "../testing/scratch.ts";
import { parsePeftConfig } from "./peft-config.ts";

/** A folder whose configuration is as PEFT writes it. */
async function adapter(changes: object = {}): Promise<string> {
  const folder = await scratchFolder(onTestFinished);
  const config = {
    peft_type: "LORA",
    r: 4,
    lora_alpha: 8,
    lora_dropout: 0.1,
    use_dora: false,
    target_modules: ["v_proj", "q_proj"],
    exclude_modules: null,
    rank_pattern: {},
    init_lora_weights: "eva",
    ...changes,
  };
  await writeFile(join(folder, "adapter_config.json"), JSON.stringify(config));
  return folder;
}

test("an adapter that is continued is recorded as it is, whatever the defaults are", async () => {
  const adapterPath = await adapter();
  const peft = parsePeftConfig({ adapterPath });
  expect(peft).toMatchObject({
    r: 4,
    loraAlpha: 8,
    loraDropout: 0.1,
    targetModules: ["v_proj", "q_proj"],
    adapterPath,
  });
  // What was recorded is read again.
  expect(parsePeftConfig(peft)).toEqual(peft);
  expect(parsePeftConfig({ adapterPath: await adapter({ r: undefined }) }).r).toBe(8);
});

test("options beside it that say something else are refused together by their names, a default that was given too", async () => {
  const adapterPath = await adapter();
  const refused: [object, RegExp][] = [
    [
      { r: 2, lora_alpha: 99 },
      /^\[r, loraAlpha\] expected .* \(r 4, loraAlpha 8\), got r 2, loraAlpha 99; leave it out/,
    ],
    [{ r: 16 }, /^\[r\] .*\(r 4\), got r 16/],
    [{ useDora: true }, /^\[useDora\]/],
    [{ "use-rslora": true }, /^\[useRslora\]/],
    [{ loraDropout: 0 }, /^\[loraDropout\]/],
    [{ targetModules: "all-linear" }, /^\[targetModules\]/],
    [{ targetModules: ["q_proj"] }, /^\[targetModules\]/],
    [{ rankPattern: { q_proj: 2 } }, /^\[rankPattern\]/],
    [{ modulesToSave: ["embed_tokens"] }, /^\[modulesToSave\]/],
  ];
  for (const [options, message] of refused) {
    expect(() => parsePeftConfig({ adapterPath, ...options })).toThrow(OptionError);
    expect(() => parsePeftConfig({ adapterPath, ...options })).toThrow(message);
  }
  parsePeftConfig({ adapterPath, r: 4, targetModules: ["q_proj", "v_proj"], bias: undefined });
});

test("a folder that cannot be read is left to the engine, whose error names what is wrong with it", async () => {
  const defaults = loraConfigSchema.parse({});
  expect(parsePeftConfig({ adapterPath: "/nowhere" })).toEqual({ ...defaults, adapterPath: "/nowhere" });
  const folder = await scratchFolder(onTestFinished);
  for (const text of ["", "null", "3"]) {
    await writeFile(join(folder, "adapter_config.json"), text);
    expect(parsePeftConfig({ adapterPath: folder })).toEqual({ ...defaults, adapterPath: folder });
  }
});

test("options of an adapter beside full fine-tuning are refused", () => {
  expect(() => parsePeftConfig({ fullFinetuning: true, r: 8 })).toThrow(/^\[r\] expected no option of an adapter/);
  expect(() => parsePeftConfig({ fullFinetuning: true, useDora: true })).toThrow(OptionError);
  // A recorded configuration has all of them at their defaults.
  parsePeftConfig(parsePeftConfig({ fullFinetuning: true }));
});

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { OptionError } from "@tunesmith/core";
import { expect, test, vi } from "vitest";
import { parse } from "yaml";
import { readRunConfig } from "../index.ts";
import { ofType, record } from "../testing/record.ts";
import { trainer } from "../testing/sft-trainer.ts";

vi.setConfig({ testTimeout: 60_000 });

test("options for which nothing has to be done are said in one line, and kept; those with their library's value are not said", async () => {
  const args = {
    bf16: true,
    dataloader_num_workers: 4,
    paddingFree: true,
    useCache: false,
    // Not given, whatever the library's value is.
    hubStrategy: null,
    hubToken: "secret",
    reportTo: "none",
  };
  const { trainer: sft, outputDir } = await trainer(
    { ...args, maxSteps: 1 },
    {},
    { peftConfig: { taskType: "CAUSAL_LM" } },
  );
  const { events, error } = await record(sft.train());
  expect(error).toBeNull();
  const options = ["bf16", "dataloaderNumWorkers", "paddingFree", "hubToken", "taskType"];
  expect(
    ofType(events, "note").map(({ message, options: said, step }) => ({ message, step, said: [...said].sort() })),
  ).toEqual([
    {
      message: expect.stringMatching(/^taken, nothing to do: .*bf16.* \(docs\/options\.md says why\)$/u),
      step: 0,
      said: options.sort(),
    },
  ]);
  expect(events.map(({ type }) => type).indexOf("note")).toBe(events.map(({ type }) => type).indexOf("prepared") + 1);
  const config = await readFile(join(outputDir, "config.resolved.yaml"), "utf8");
  expect(parse(config)).toMatchObject({ bf16: true, dataloaderNumWorkers: 4, useCache: false, reportTo: "none" });
  expect(config).not.toContain("secret");
  expect((await readRunConfig(outputDir)).args).toMatchObject({ bf16: true, dataloaderNumWorkers: 4 });
  const report = JSON.parse(await readFile(join(outputDir, "report.json"), "utf8"));
  expect([...report.taken].sort()).toEqual(options);
});

test("a run without such options says nothing of them", async () => {
  const { trainer: sft, outputDir } = await trainer({ maxSteps: 1 });
  const { events } = await record(sft.train());
  expect(ofType(events, "note")).toEqual([]);
  expect(await readFile(join(outputDir, "config.resolved.yaml"), "utf8")).not.toMatch(/bf16|dataloaderNum/u);
});

test("a name that is not there yet is refused before anything is read, and its library's default is not", async () => {
  await expect(trainer({ torchCompile: true, push_to_hub: true, fsdp: "full_shard" })).rejects.toThrow(OptionError);
  await expect(trainer({ report_to: "wandb" })).rejects.toThrow(
    /^\[reportTo\] expected .*tensorboard.* not yet: other services; metrics\.jsonl/u,
  );
  await expect(trainer({ torchCompile: false, pushToHub: false, fsdp: "", deepspeed: null })).resolves.toBeDefined();
});

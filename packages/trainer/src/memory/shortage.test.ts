import { loraConfigSchema, OutOfMemoryError, parseOptions, sftConfigSchema } from "@tunesmith/core";
import { expect, test } from "vitest";
import { sessionOptions } from "../options/session-options.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { gib, plan } from "../testing/memory-plan.ts";
import { checkMemory } from "./shortage.ts";

const options = (args = {}, peft = {}) =>
  sessionOptions(parseOptions(sftConfigSchema, args), parseOptions(loraConfigSchema, peft));
const check = (memoryCheck: "refuse" | "warn" | "off", free: number, args = {}, peft = {}) =>
  checkMemory(
    fakeModel({ plan }),
    options(args, peft),
    { tokens: 1024, longest: 512, supervised: 1024 },
    memoryCheck,
    free,
  );

test("lets a run pass that fits, and refuses one that does not with numbers and advice", async () => {
  expect(await check("refuse", 6 * gib)).toMatchObject({ warning: null, estimate: { free: 6 * gib } });
  const refused = check("refuse", 4 * gib);
  await expect(refused).rejects.toBeInstanceOf(OutOfMemoryError);
  await expect(refused).rejects.toThrow(
    /^\[memory\] expected 5\.02 GiB of free memory, got 4\.00 GiB \(weights 3\.00 GiB, activations 1\.00 GiB, optimizer 0\.50 GiB.*\); set loadIn4bit, .*gradientCheckpointing.*memoryCheck to "warn"/u,
  );
  await expect(check("refuse", 4 * gib, {}, { fullFinetuning: true })).rejects.toThrow(/train an adapter/u);
  await expect(check("refuse", 4 * gib, { gradientCheckpointing: true })).rejects.not.toThrow(
    /set gradientCheckpointing/u,
  );
});

test("can be told to warn only, or not to look", async () => {
  expect((await check("warn", 4 * gib))?.warning).toMatch(/^memory: expected 5\.02 GiB/u);
  expect((await check("warn", 6 * gib))?.warning).toBeNull();
  expect(await check("off", 0)).toBeNull();
});

test("compares a session on a GPU with what its driver calls free, not with the host's memory", async () => {
  const onGpu = (free: number) => fakeModel({ plan: { ...plan, device: "cuda", free } });
  const pass = { tokens: 1024, longest: 512, supervised: 1024 };
  expect((await checkMemory(onGpu(6 * gib), options(), pass, "refuse", 0))?.warning).toBeNull();
  await expect(checkMemory(onGpu(5 * gib), options(), pass, "refuse", 64 * gib)).rejects.toThrow(
    /expected 5\.25 GiB of free memory on the cuda device, got 5\.00 GiB \(weights 3\.00 GiB, .*set loadIn4bit/u,
  );
});

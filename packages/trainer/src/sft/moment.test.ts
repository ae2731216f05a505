import type { ConversationOptions, Tokenizer } from "@tunesmith/core";
import { expect, onTestFinished, test, vi } from "vitest";
import { SFTTrainer } from "../index.ts";
import { fakeModel } from "../testing/fake-session.ts";
import { conversations, scratchFolder } from "../testing/scratch.ts";

/** A model whose chat template writes the time: its ids depend on it. */
function telling(seen: ConversationOptions[]) {
  const model = fakeModel();
  const { tokenizer } = model;
  const encodeConversations: Tokenizer["encodeConversations"] = async (given, options = {}) => {
    seen.push(options);
    const encoded = await tokenizer.encodeConversations(given, options);
    const minute = Math.floor((options.moment ?? Date.now() / 1000) / 60) % 60;
    return encoded.map((entry) => ({ ...entry, ids: entry.ids.map((id, at) => (at === 1 ? 32 + minute : id)) }));
  };
  return Object.assign(model, { tokenizer: { ...tokenizer, encodeConversations } });
}

test("the present moment of a chat template is when the run was started, also on resume", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const outputDir = await scratchFolder(onTestFinished);
  const seen: ConversationOptions[] = [];
  const made = () =>
    new SFTTrainer({
      model: telling(seen),
      trainDataset: conversations(6),
      evalDataset: conversations(2),
      args: { outputDir, maxSteps: 4, maxLength: 512, saveSteps: 1, sampleEverySteps: 1, warmupSteps: 0 },
    });
  const controller = new AbortController();
  vi.setSystemTime(new Date("2026-03-01T12:00:30Z"));
  const first = made();
  const run = first.train({ signal: controller.signal });
  await expect(
    (async () => {
      for await (const event of run) if (event.type === "step" && event.step === 2) controller.abort();
    })(),
  ).rejects.toThrow(/stopped as asked/u);
  vi.setSystemTime(new Date("2026-03-01T12:07:00Z"));
  const { globalStep } = await made().train({ resumeFromCheckpoint: true });
  expect(globalStep).toBe(4);
  expect(new Set(seen.map(({ moment }) => moment))).toEqual(new Set([Date.UTC(2026, 2, 1, 12, 0, 30) / 1000]));
  expect(seen.some(({ addGenerationPrompt }) => addGenerationPrompt)).toBe(true);
});

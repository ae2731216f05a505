import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRunConfig } from "@tunesmith/trainer";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { commit, FakeHub, filesOf } from "../../../sdk/src/testing/fake-hub.ts";
import { tunesmith } from "../testing/tunesmith.ts";

const model = fileURLToPath(new URL("../../../../test/fixtures/models/llama", import.meta.url));
let folder: string;
let run: string;
let hub: FakeHub;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tunesmith-hub-run-"));
  run = join(folder, "run");
  hub = new FakeHub(filesOf(model));
  await hub.listen();
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HOME", join(folder, "home-of-models"));
  const rows = Array.from({ length: 8 }, (_, i) => ({ prompt: `row ${i}:`, completion: " well done" }));
  await writeFile(join(folder, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  hub.close();
  await rm(folder, { recursive: true });
});

const train = async (...more: string[]) => {
  const data = ["--data", join(folder, "rows.jsonl"), "--output-dir", run, "--max-steps", "4", "--save-steps", "2"];
  const ended = await tunesmith(["train", "--model", "acorn/tiny-oak", ...data, ...more]);
  expect(ended.err + ended.out).toContain("acorn/tiny-oak (llama)");
  expect(ended.code).toBe(0);
};

/** Every file below a folder, by its path. */
async function* files(at: string): AsyncGenerator<string> {
  for (const entry of await readdir(at, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* files(join(at, entry.name));
    else yield join(at, entry.name);
  }
}

test("a run on a model of the Hub is recorded by name and commit, and nothing shows where its cache was", async () => {
  await train();
  for (const place of ["adapter", "checkpoint-2", "checkpoint-4"])
    expect(JSON.parse(await readFile(join(run, place, "adapter_config.json"), "utf8"))).toMatchObject({
      base_model_name_or_path: "acorn/tiny-oak",
      revision: commit,
      peft_type: "LORA",
    });
  expect(await readRunConfig(run)).toMatchObject({ model: "acorn/tiny-oak", modelRevision: commit });
  const environment = JSON.parse(await readFile(join(run, "env.json"), "utf8"));
  expect(environment.model).toMatchObject({ name: "acorn/tiny-oak", revision: commit });
  for await (const path of files(run)) expect(await readFile(path, "latin1"), path).not.toContain("home-of-models");
  for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
    expect(await readFile(join(run, "adapter", name))).toEqual(await readFile(join(model, name)));
});

test("chat, merge, export and resume find the model by its name when the cache has moved", {
  timeout: 60_000,
}, async () => {
  await train();
  await rename(join(folder, "home-of-models"), join(folder, "elsewhere"));
  vi.stubEnv("HF_HOME", join(folder, "elsewhere"));
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  expect(await tunesmith(["chat", run, "--prompt", "row 1:", "--max-new-tokens", "2"])).toMatchObject({ code: 0 });
  expect(await tunesmith(["merge", run, "--output", join(folder, "merged")])).toMatchObject({ code: 0 });
  const gguf = join(folder, "model.gguf");
  expect(await tunesmith(["export", "gguf", run, "--output", gguf])).toMatchObject({ code: 0 });
  expect((await readFile(gguf, "latin1")).slice(0, 4000)).not.toContain(commit);
  const before = await readFile(join(run, "adapter/adapter_model.safetensors"));
  for (const name of ["report.json", "adapter", "checkpoint-4"]) await rm(join(run, name), { recursive: true });
  expect(await tunesmith(["resume", run])).toMatchObject({ code: 0 });
  expect(await readFile(join(run, "adapter/adapter_model.safetensors"))).toEqual(before);
});

test("estimate asks for no weights, and says of the Hub's model what it says of a local one", async () => {
  const ask = async (name: string) => JSON.parse((await tunesmith(["estimate", name, "--json"])).out).plan;
  expect(await ask("acorn/tiny-oak")).toEqual(await ask(model));
  expect(hub.weightRequests().map(({ range }) => range)).not.toContain(undefined);
  expect((await readdir(join(folder, "home-of-models/hub/models--acorn--tiny-oak"))).sort()).toEqual(["blobs"]);
});

test("a checkpoint of a run is what a command can work on, unless it is damaged", { timeout: 60_000 }, async () => {
  await train();
  const checkpoint = join(run, "checkpoint-2");
  expect(await tunesmith(["chat", checkpoint, "--prompt", "row 1:", "--max-new-tokens", "2"])).toMatchObject({
    code: 0,
  });
  expect(await tunesmith(["merge", checkpoint, "--output", join(folder, "merged")])).toMatchObject({ code: 0 });
  const lora = ["export", "gguf", `${checkpoint}/`, "--lora", "--output", join(folder, "lora.gguf")];
  expect(await tunesmith(lora)).toMatchObject({ code: 0 });
  const weights = join(checkpoint, "adapter_model.safetensors");
  const bytes = await readFile(weights);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 3) ^ 1, bytes.length - 3);
  await writeFile(weights, bytes);
  const refused = await tunesmith(["merge", checkpoint, "--output", join(folder, "again")]);
  expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("CheckpointError") });
});

test("a checkpoint of full fine-tuning opens as a model, with its tokenizer", { timeout: 60_000 }, async () => {
  await train("--full-finetuning");
  const checkpoint = join(run, "checkpoint-2");
  expect(await tunesmith(["chat", checkpoint, "--prompt", "row 1:", "--max-new-tokens", "2"])).toMatchObject({
    code: 0,
  });
  expect(await tunesmith(["merge", checkpoint, "--output", join(folder, "merged")])).toMatchObject({ code: 0 });
});

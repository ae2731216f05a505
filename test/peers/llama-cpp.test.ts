// llama.cpp runs what is exported: the same greedy tokens as the engine, for every family that has an architecture there.
import { existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { exportGguf, exportGgufLora, loadModel } from "@tunesmith/native";
import { describe, expect, it, type TestContext } from "vitest";
import { fixtures, temporaryFolder } from "../support/runs.ts";
import { llamaAnswers, llamaInstalled } from "./support/llama.ts";

/** Every model with a recorded greedy continuation. */
function models(): { name: string; root: string; folder: string; adapter: string | null }[] {
  const roots = [fixtures, process.env.TUNESMITH_FIXTURES].filter((root) => root !== undefined);
  return roots.flatMap((root) =>
    readdirSync(join(root, "models")).map((name) => {
      const adapter = join(root, "goldens", name, "lora/adapter_end");
      return { name, root, folder: join(root, "models", name), adapter: existsSync(adapter) ? adapter : null };
    }),
  );
}

const maxNewTokens = 12;
const prompts = [
  [5, 17, 40, 33, 9],
  [60, 8, 21, 7, 12, 44, 31],
];

/** Greedy continuations by our engine; the end of a text does not stop them. */
async function ours(folder: string, adapter: string | null): Promise<number[][]> {
  const model = await loadModel(folder);
  const session = await model.createSession({
    adapter: adapter === null ? null : { path: adapter },
    optimizer: null,
    gradientCheckpointing: false,
    seed: 0,
  });
  try {
    const answers: number[][] = prompts.map(() => []);
    const request = { prompts: prompts.map((ids) => Int32Array.from(ids)), maxNewTokens, stopTokenIds: [] };
    for await (const { index, tokenId } of session.generate(request)) answers[index]?.push(tokenId);
    return answers;
  } finally {
    session.dispose();
  }
}

/**
 * The same model under a name that says nothing: llama.cpp takes some facts about tokens from the name of a model, which is
 * that of its folder.
 */
function unnamed(folder: string): string {
  const link = join(temporaryFolder(), "tiny");
  symlinkSync(folder, link);
  return link;
}

/** Writes the model; where llama.cpp computes it otherwise, as the note says, there is nothing to compare. */
async function exported(folder: string, skip: (note: string) => never): Promise<string> {
  const output = join(temporaryFolder(), "model.gguf");
  const [note] = await exportGguf({ model: unnamed(folder), output, quantization: "f32" });
  return note === undefined ? output : skip(note);
}

const request = { maxNewTokens, prompts: prompts.map((ids) => ({ ids })), stopAtEnd: false };

describe.skipIf(!llamaInstalled())("llama.cpp (skipped unless installed by npm run peers:llama-cpp)", () => {
  for (const { name, root, folder, adapter } of models()) {
    const where = root === fixtures ? "own" : "large";

    /** Families that the engine or llama.cpp lacks are left out, by the error that says so. */
    const unlessUnsupported = async (context: TestContext, work: () => Promise<void>) => {
      try {
        await work();
      } catch (error) {
        if ((error as { code?: string }).code === "MODEL_UNSUPPORTED") context.skip((error as Error).message);
        throw error;
      }
    };

    it(`continues ${where} ${name} as the engine does`, (context) =>
      unlessUnsupported(context, async () => {
        const expected = await ours(folder, null);
        const output = await exported(folder, (note) => context.skip(note));
        expect((await llamaAnswers(output, request)).answers).toEqual(expected);
      }));

    it.skipIf(adapter === null)(`takes the adapter of ${where} ${name}`, (context) =>
      unlessUnsupported(context, async () => {
        const lora = join(temporaryFolder(), "lora.gguf");
        const expected = await ours(folder, adapter);
        const output = await exported(folder, (note) => context.skip(note));
        await exportGgufLora({ model: folder, adapter: adapter as string, output: lora });
        expect((await llamaAnswers(output, request, lora)).answers).toEqual(expected);
      }),
    );
  }

  it("splits text as our tokenizer does", async () => {
    const folder = join(fixtures, "models/llama");
    const output = join(temporaryFolder(), "model.gguf");
    await exportGguf({ model: folder, output, quantization: "f16" });
    const { tokenizer } = await loadModel(folder);
    const texts = ["Hello world, it's 12345!", "<|im_start|>user\nWhat?<|im_end|>\n", "naïve café"];
    const expected = (await tokenizer.encodeTexts(texts)).map((ids) => [...ids]);
    const asked = texts.map((text) => ({ ids: [5], text }));
    const { tokenized } = await llamaAnswers(output, { maxNewTokens: 1, prompts: asked, stopAtEnd: false });
    expect(tokenized).toEqual(expected);
  });
});

it("names the lock's version", () => {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, "llama-cpp/package-lock.json"), "utf8"));
  expect(lock.packages["node_modules/node-llama-cpp"].version).toBe("3.22.1");
});

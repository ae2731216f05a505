// llama.cpp runs what is exported: the same greedy tokens as the engine, for every family that has an architecture there.
import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exportGguf, exportGgufLora, loadModel } from "@tunesmith/native";
import { describe, expect, type TestContext, test } from "vitest";
import { fixtures, temporaryFolder } from "../support/runs.ts";
import { gapOf } from "./support/gap.ts";
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

/** Logits this near are a tie: llama.cpp's keys and values are float16. */
const tie = 1e-3;

/** Our engine's greedy continuations, which the end of a text does not stop, are those given, each up to a tie. */
async function expectOurs(folder: string, adapter: string | null, theirs: readonly number[][]): Promise<void> {
  const model = await loadModel(folder);
  const session = await model.createGenerator({ adapter: adapter === null ? null : { type: "saved", path: adapter } });
  try {
    const answers: number[][] = prompts.map(() => []);
    const request = { prompts: prompts.map((ids) => Int32Array.from(ids)), maxNewTokens, stopTokenIds: [] };
    for await (const { index, tokenId } of session.generate(request)) answers[index]?.push(tokenId);
    for (const [index, answer] of answers.entries()) {
      const place = answer.findIndex((token, position) => token !== theirs[index]?.[position]);
      if (place === -1) continue;
      const [own, other] = [answer[place] as number, theirs[index]?.[place]];
      const before = [...(prompts[index] ?? []), ...answer.slice(0, place)];
      const gap = other === undefined ? Number.POSITIVE_INFINITY : await gapOf(session, before, own, other);
      expect(gap, `${theirs[index]} where the engine gives ${answer}`).toBeLessThan(tie);
    }
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

    test(`continues ${where} ${name} as the engine does`, (context) =>
      unlessUnsupported(context, async () => {
        const output = await exported(folder, (note) => context.skip(note));
        await expectOurs(folder, null, (await llamaAnswers(output, request)).answers);
      }));

    test.skipIf(adapter === null)(`takes the adapter of ${where} ${name}`, (context) =>
      unlessUnsupported(context, async () => {
        const lora = join(temporaryFolder(), "lora.gguf");
        const output = await exported(folder, (note) => context.skip(note));
        await exportGgufLora({ model: folder, adapter: adapter as string, output: lora });
        await expectOurs(folder, adapter, (await llamaAnswers(output, request, lora)).answers);
      }),
    );
  }

  test("continues YaRN between the ends that it knows", async () => {
    const folder = join(temporaryFolder(), "tiny");
    cpSync(join(fixtures, "models/qwen3-yarn"), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    Object.assign(config.rope_parameters, { beta_fast: 32, beta_slow: 1 });
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const output = await exported(folder, (note) => expect.fail(note));
    await expectOurs(folder, null, (await llamaAnswers(output, request)).answers);
  });

  test("splits text as our tokenizer does", async () => {
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

test("names the lock's version", () => {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, "llama-cpp/package-lock.json"), "utf8"));
  expect(lock.packages["node_modules/node-llama-cpp"].version).toBe("3.22.1");
});

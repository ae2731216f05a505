// npm run peers:llama-cpp [-- --run DIR] [--model PATH] [--json FILE]: fine-tunes as the quickstart does (or takes a finished run of
// it), exports F16 and Q8_0, and compares llama.cpp's greedy answers to the held-out rows with ours, token by token.
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Generator, LanguageModel } from "@tunesmith/core";
import { exportGguf, loadModel, mergeModel } from "@tunesmith/native";
import { readRunConfig } from "@tunesmith/trainer";
import { machine } from "../../benchmarks/machine.ts";
import { quickstartRows, systemMessage } from "../../examples/quickstart/data-files.ts";
import { isExact } from "../../examples/quickstart/exact-match.ts";
import { generateTickets, type TicketRow } from "../../examples/quickstart/tickets.ts";
import { gapOf } from "./support/gap.ts";
import { installLlama, llamaAnswers, llamaInstalled } from "./support/llama.ts";
import { runProcess } from "./support/process.ts";

const repository = resolve(import.meta.dirname, "../..");
/** A few more tokens than the longest right answer has. */
const maxNewTokens = 48;
/** Equal answers asked for, of 60. */
const wanted = { f16: 58, q8_0: 57 } as const;

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** Where two greedy answers part. */
interface Difference {
  row: number;
  /** Tokens that were equal before. */
  position: number;
  ours: string;
  llamaCpp: string;
  /** Our logit of our token less our logit of theirs: what rounding had to bridge. */
  logitGap: number;
}

/** A row in the form in which both sides are asked. */
interface Prompt {
  ids: Int32Array;
  text: string;
}

async function promptsOf(model: LanguageModel, rows: readonly TicketRow[]): Promise<Prompt[]> {
  const conversations = rows.map(({ message }) => ({
    messages: [
      { role: "system", content: systemMessage },
      { role: "user", content: message },
    ],
  }));
  const encoded = await model.tokenizer.encodeConversations(conversations, { addGenerationPrompt: true });
  return encoded.map(({ ids }, row) => ({
    ids,
    text: model.tokenizer.render(conversations[row] as (typeof conversations)[number], { addGenerationPrompt: true }),
  }));
}

async function ourAnswers(session: Generator, prompts: readonly Prompt[], ends: readonly number[]) {
  const answers: number[][] = prompts.map(() => []);
  const size = 32;
  for (let first = 0; first < prompts.length; first += size) {
    const asked = prompts.slice(first, first + size).map(({ ids }) => ids);
    for await (const { index, tokenId } of session.generate({ prompts: asked, maxNewTokens }))
      if (!ends.includes(tokenId)) answers[first + index]?.push(tokenId);
  }
  return answers;
}

async function differences(
  session: Generator,
  model: LanguageModel,
  prompts: readonly Prompt[],
  ours: readonly number[][],
  theirs: readonly number[][],
): Promise<Difference[]> {
  const end = model.info.eosTokenIds[0] as number;
  const found: Difference[] = [];
  for (const [row, { ids }] of prompts.entries()) {
    const [a, b] = [ours[row] ?? [], theirs[row] ?? []];
    const position = a.findIndex((token, place) => token !== b[place]);
    if (position === -1 && a.length === b.length) continue;
    const place = position === -1 ? a.length : position;
    const before = [...ids, ...a.slice(0, place)];
    const [own, other] = [a[place] ?? end, b[place] ?? end];
    const logitGap = await gapOf(session, before, own, other);
    const text = (token: number) => model.tokenizer.decode(Int32Array.of(token), { skipSpecialTokens: false });
    found.push({ row, position: place, ours: text(own), llamaCpp: text(other), logitGap });
  }
  return found;
}

/** The run that is compared: the one given, or the quickstart's, trained now. */
async function runFolder(given: string | undefined, model: string | undefined, scratch: string): Promise<string> {
  if (given !== undefined) return resolve(given);
  const output = join(scratch, "run");
  say("train     the quickstart (minutes)");
  const argv = [join(repository, "examples/quickstart/dist/quickstart.js"), "--output-dir", output];
  await runProcess(process.execPath, model === undefined ? argv : [...argv, "--model", model]);
  return output;
}

/** What both sides are asked, and what we answered. */
interface Asked {
  model: LanguageModel;
  session: Generator;
  rows: readonly TicketRow[];
  prompts: readonly Prompt[];
  ours: readonly number[][];
}

/** How many answers are exactly the ticket. */
const exact = ({ model, rows }: Asked, answers: readonly number[][]) =>
  rows.filter(({ ticket }, row) => isExact(model.tokenizer.decode(Int32Array.from(answers[row] ?? [])), ticket)).length;

/** Asks llama.cpp, which reads `file`, and prints where its answers part from ours. */
async function compared(file: string, quantization: keyof typeof wanted, asked: Asked) {
  const { model, session, rows, prompts, ours } = asked;
  const questions = prompts.map(({ ids, text }) => ({ ids: [...ids], text }));
  const { answers, tokenized } = await llamaAnswers(file, { maxNewTokens, prompts: questions, stopAtEnd: true });
  const parted = await differences(session, model, prompts, ours, answers);
  const equal = rows.length - parted.length;
  say(
    `${quantization.padEnd(9)} ${equal} of ${rows.length} answers equal (at least ${wanted[quantization]} asked for)`,
  );
  for (const { row, position, ours: own, llamaCpp, logitGap } of parted)
    say(
      `          row ${row}, token ${position}: ours ${JSON.stringify(own)}, llama.cpp ${JSON.stringify(llamaCpp)}, our logits ${logitGap.toFixed(4)} apart`,
    );
  return {
    bytes: statSync(file).size,
    equalAnswers: equal,
    wanted: wanted[quantization],
    promptsTokenizedAlike: tokenized.filter((ids, row) => String(ids) === String([...(prompts[row]?.ids ?? [])]))
      .length,
    exactByLlamaCpp: exact(asked, answers),
    differences: parted,
  };
}

async function main(): Promise<number> {
  const options = { run: { type: "string" }, model: { type: "string" }, json: { type: "string" } } as const;
  const { values } = parseArgs({ options });
  if (!llamaInstalled()) {
    say("install   node-llama-cpp, by its own lock, without scripts");
    await installLlama();
  }
  const scratch = mkdtempSync(join(tmpdir(), "tunesmith-peers-"));
  try {
    const run = await runFolder(values.run, values.model, scratch);
    const [base, adapter] = [(await readRunConfig(run)).model, join(run, "adapter")];
    const model = await loadModel(base);
    const rows = generateTickets(quickstartRows).heldOut;
    const prompts = await promptsOf(model, rows);
    const session = await model.createGenerator({ adapter: { type: "saved", path: adapter } });
    say(`answer    ${rows.length} held-out rows with the adapter on, in float32`);
    const ours = await ourAnswers(session, prompts, model.info.eosTokenIds);
    const asked = { model, session, rows, prompts, ours };
    const merged = join(scratch, "merged");
    await mergeModel({ model: base, adapter, output: merged, dtype: "float16" });
    const results: Record<string, Awaited<ReturnType<typeof compared>>> = {};
    for (const quantization of ["f16", "q8_0"] as const) {
      const output = join(scratch, `model.${quantization}.gguf`);
      await exportGguf({
        model: quantization === "f16" ? merged : base,
        adapter: quantization === "f16" ? null : adapter,
        output,
        quantization,
      });
      results[quantization] = await compared(output, quantization, asked);
    }
    const result = {
      benchmark: "llama-cpp",
      machine: machine(),
      peer: "node-llama-cpp 3.22.1, CPU, one thread, greedy",
      rows: rows.length,
      exactByTunesmith: exact(asked, ours),
      results,
    };
    session.dispose();
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
    return Object.values(results).every(({ equalAnswers, wanted: least }) => equalAnswers >= least) ? 0 : 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

process.exitCode = await main();

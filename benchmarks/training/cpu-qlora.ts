// `npm run bench -- cpu-qlora [--steps N] [--batch N,N] [--dtype float32,bfloat16] [--task TEXT]`: LoRA over NF4 weights, Tunesmith and PyTorch +
// bitsandbytes + PEFT, one step of each in turn: two layers of the 1.1-billion shape at 128 and 512 tokens, each with
// all tokens trained and with the second half alone, as an answer to a prompt; and SmolLM2-135M on rows of GSM8K.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@tunesmith/native";
import { findSmollm2 } from "../../test/goldens/smollm2-path.ts";
import { machine } from "../machine.ts";
import { type Comparison, compare, convert, peerPython, rank, show, startingAdapter } from "./comparison.ts";
import { billion, randomRows, writeRandomModel } from "./random-model.ts";
import { gsm8k } from "./rows.ts";
import type { Spec } from "./spec.ts";

/** Layers of the large shape: the speed of a layer, without the hours of a whole model on a CPU. */
const layers = 2;
const lengths = [128, 512];

/** One model with its rows. */
interface Task {
  name: string;
  model: string;
  batch: number;
  rows: Spec["rows"];
}

export async function cpuQlora(options: {
  /** Part of the names of the tasks that are run. */
  task: string;
  steps: number;
  batches: number[];
  dtypes: Spec["dtype"][];
}): Promise<Record<string, unknown>> {
  const work = mkdtempSync(join(tmpdir(), "tunesmith-bench-"));
  try {
    const python = peerPython("bitsandbytes + PEFT");
    const large = join(work, "model");
    writeRandomModel(large, { ...billion, layers });
    const tasks: Task[] = lengths.flatMap((length) =>
      [0, length / 2].map((prompt) => ({
        name: `${layers} layers of 1.1B, ${length} tokens, ${length - prompt} with a label`,
        model: large,
        batch: 1,
        rows: randomRows(options.steps + 1, length, billion.vocabulary, prompt),
      })),
    );
    tasks.push(...(await smollm2Tasks(options, python, work)));
    const cases: (Comparison & { task: string })[] = [];
    const chosen = tasks.filter(({ name }) => name.includes(options.task));
    if (chosen.length === 0) {
      const names = tasks.map(({ name }) => name).join("; ");
      throw new Error(`[bench] expected --task to be part of a task's name (${names}), got ${options.task}`);
    }
    for (const task of chosen) {
      const adapter = await startingAdapter(task.model, join(work, `adapter-${cases.length}`));
      for (const dtype of options.dtypes) {
        console.log(task.name);
        const spec: Spec = {
          model: task.model,
          adapter,
          rows: task.rows,
          learning_rates: Array.from({ length: options.steps + 1 }, () => 2e-4),
          batch_size: task.batch,
          gradient_accumulation_steps: 1,
          max_grad_norm: 1,
          dtype,
          attention: "sdpa",
          threads: 0,
          load_in_4bit: true,
        };
        const comparison = await compare(spec, options.steps, python, work);
        show(comparison);
        cases.push({ task: task.name, ...comparison });
      }
    }
    return { benchmark: "cpu-qlora", machine: machine(), rank, steps: options.steps, cases };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** SmolLM2 on rows of GSM8K, where model and rows are there. */
async function smollm2Tasks(
  options: { steps: number; batches: number[] },
  python: string | null,
  work: string,
): Promise<Task[]> {
  const [gguf, fixtures] = [findSmollm2(), process.env.TUNESMITH_FIXTURES];
  if (gguf === null || fixtures === undefined) {
    console.log(
      "skipped: SmolLM2-135M (run `npm run quickstart` once, and set TUNESMITH_FIXTURES to the folder of data/)",
    );
    return [];
  }
  const model = python === null ? gguf : convert(python, gguf, work);
  const { tokenizer } = await loadModel(model);
  const rows = await gsm8k(fixtures, Math.max(...options.batches) * (options.steps + 1), tokenizer);
  return options.batches.map((batch) => ({
    name: `SmolLM2-135M, GSM8K, batch ${batch}`,
    model,
    batch,
    rows: rows.slice(0, batch * (options.steps + 1)),
  }));
}

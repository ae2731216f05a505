// `npm run bench -- NAME [options]`: runs a benchmark and, with `--json FILE`, keeps its result.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { curriculum } from "./curriculum/curriculum.ts";
import { data } from "./data/data.ts";
import { formats } from "./formats/formats.ts";
import { nf4 } from "./formats/nf4.ts";
import { machine } from "./machine.ts";
import { optimizerSteps } from "./optimizers/optimizers.ts";
import { similarity } from "./similarity/similarity.ts";
import { selfInstruct } from "./synth/self-instruct.ts";
import { cpuQlora } from "./training/cpu-qlora.ts";
import { cpuSft } from "./training/cpu-sft.ts";
import { hooks } from "./training/hooks.ts";
import { limits } from "./training/limits.ts";
import { memory } from "./training/memory.ts";
import { qloraMemory } from "./training/qlora-memory.ts";
import type { Spec } from "./training/spec.ts";

const repository = resolve(import.meta.dirname, "..");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "string" },
    steps: { type: "string", default: "12" },
    batch: { type: "string", default: "4,1" },
    dtype: { type: "string", default: "float32" },
    op: { type: "string", default: "" },
    model: { type: "string" },
    threads: { type: "string", default: "0" },
    task: { type: "string", default: "" },
    rows: { type: "string", default: "100000" },
    folder: { type: "string" },
    part: { type: "string" },
    instructions: { type: "string", default: "16" },
  },
});

/** One JSON line per op and shape, from the Rust side. */
async function kernels(): Promise<Record<string, unknown>> {
  const { hostTriple } = (await import("../scripts/lib/shell.mjs")) as { hostTriple: () => string };
  const cargo = ["run", "--quiet", "--release", "--locked", "--target", hostTriple(), "-p", "tunesmith-kernels", "--"];
  const only = values.op === "" ? [] : [values.op];
  const argv = [...cargo, ...only, "--model", values.model ?? "smollm2-135m", "--threads", values.threads, "--json"];
  const { status, stdout } = spawnSync("cargo", argv, {
    cwd: repository,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`[kernels] expected the benchmark to succeed, got exit ${status}`);
  process.stdout.write(stdout);
  const results = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  return { benchmark: "kernels", machine: machine(), results };
}

const numbers = (list: string) => list.split(",").map(Number);
function dtypes(list: string): Spec["dtype"][] {
  return list.split(",").map((dtype) => {
    if (dtype === "float32" || dtype === "bfloat16") return dtype;
    throw new Error(`[bench] expected --dtype float32, bfloat16 or both with a comma, got ${JSON.stringify(dtype)}`);
  });
}
const benchmarks: Readonly<Record<string, () => Promise<object>>> = {
  "cpu-sft": () =>
    cpuSft({
      steps: Number(values.steps),
      batches: numbers(values.batch),
      dtypes: dtypes(values.dtype),
    }),
  "cpu-qlora": () =>
    cpuQlora({
      task: values.task,
      steps: Number(values.steps),
      batches: numbers(values.batch),
      dtypes: dtypes(values.dtype),
    }),
  curriculum: () => curriculum({ folder: values.folder, part: values.part, threads: Number(values.threads) }),
  data: () => data(Number(values.rows)),
  formats,
  hooks: () => hooks(values.model, Number(values.steps)),
  kernels,
  limits,
  nf4: async () => ({ benchmark: "nf4", machine: machine(), ...(await nf4()) }),
  "qlora-memory": () => qloraMemory(values.model),
  memory: () => memory(values.model),
  optimizers: () => optimizerSteps(values.op),
  "self-instruct": () =>
    selfInstruct({
      model: values.model,
      instructions: Number(values.instructions),
      folder: values.folder,
      task: values.task,
    }),
  similarity: () => similarity(Number(values.rows)),
};

const [name = ""] = positionals;
const run = benchmarks[name];
if (run === undefined) {
  console.error(`[bench] expected one of ${Object.keys(benchmarks).join(", ")}, got ${JSON.stringify(name)}`);
  process.exitCode = 2;
} else {
  const result = await run();
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`);
}

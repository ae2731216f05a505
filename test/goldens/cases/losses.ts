// `misc/losses`: weights per token, row and prompt, and objectives; loss, gradient norm and gradients of a LoRA adapter.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Objective, parameterKinds, type SessionOptions } from "@tunesmith/core";
import { collate, prepare } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { readIntegers, readSafetensors, tensorError } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome, relative, unsupported } from "../outcome.ts";

interface Case {
  case: string;
  loss: number;
  denominator: number;
  grad_norm: number;
  grads: boolean;
  prompt_loss_weight?: number;
  label_smoothing_factor?: number;
  coefficient?: number;
}

interface Golden {
  model: string;
  batch: string;
  adapter: string;
  cases: Case[];
  tolerance: Record<"loss_rel" | "grads" | "grad_norm_rel", number>;
}

/** What is minimised, of the cases that this library has; null for another. */
function objectiveOf(entry: Case): Objective | null {
  switch (entry.case) {
    case "token_weights":
    case "row_weights":
    case "prompt_loss_weight":
      return { type: "nll" };
    case "label_smoothing":
      return { type: "nll", labelSmoothing: entry.label_smoothing_factor ?? 0 };
    case "z_loss":
      return { type: "nll", zLoss: entry.coefficient ?? 0 };
    case "dft":
      return { type: "dft" };
    default:
      return null;
  }
}

/** `misc/losses`: weights per token, row and prompt, and objectives. */
export async function losses(root: string): Promise<Outcome[]> {
  const dir = join(root, "misc/losses");
  if (!existsSync(dir)) return [];
  const outcomes: Outcome[] = [];
  for (const file of readdirSync(dir).filter((name) => name.endsWith(".json"))) {
    const path = join(dir, file);
    const golden = JSON.parse(readFileSync(path, "utf8")) as Golden;
    for (const entry of golden.cases) {
      // Noise is drawn in the engine, whose own runner takes the recorded one in its place.
      if (entry.case.startsWith("neftune")) continue;
      const name = `misc/losses/${basename(file, ".json")}/${entry.case}`;
      const objective = objectiveOf(entry);
      outcomes.push(
        ...(objective === null
          ? [unsupported(name, "loss")]
          : await attempt(name, () => oneCase(name, { root, path, golden, entry, objective }))),
      );
    }
  }
  return outcomes;
}

interface Setting {
  root: string;
  path: string;
  golden: Golden;
  entry: Case;
  objective: Objective;
}

async function oneCase(name: string, { root, path, golden, entry, objective }: Setting): Promise<Outcome[]> {
  const { model: modelName, batch, adapter, tolerance } = golden;
  const recorded = readSafetensors(path.replace(/json$/u, "safetensors"));
  const model = await loadModel(join(root, "models", modelName), { device: "cpu" });
  const rows = rowsOf(readIntegers(join(root, batch)), recorded, entry.case);
  const { examples } = await prepare(rows, model.tokenizer, {
    ...{ name, datasetFormat: "auto", datasetTextField: "text", maxLength: null, assistantOnlyLoss: true },
    ...{ completionOnlyLoss: null, promptLossWeight: entry.prompt_loss_weight ?? 0 },
  });
  const session = await model.createSession(plainDescent(join(root, adapter)));
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-losses-"));
  try {
    const placed = Array.from(examples, (example) => ({ example, microBatch: 0 }));
    const sums = await session.accumulate(collate(placed), { objective, step: 1, seed: 0 });
    const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
    const denominator = total(sums.weightSum);
    // A power of two that makes the step about as large as the weights, so that what it takes off them is exact.
    const rate = 2 ** Math.ceil(-Math.log2(entry.grad_norm));
    const learningRates = Float64Array.from(session.info.parameterGroups, () => rate);
    const { gradNorm } = await session.update({ learningRates, maxGradNorm: null, denominator });
    await session.saveAdapter(folder);
    const outcomes = [
      measured(`${name}/denominator`, relative(denominator, entry.denominator), 1e-6),
      measured(`${name}/loss`, relative(total(sums.lossSum) / denominator, entry.loss), tolerance.loss_rel),
      measured(`${name}/grad_norm`, relative(gradNorm, entry.grad_norm), tolerance.grad_norm_rel),
    ];
    if (!entry.grads) return outcomes;
    const file = "adapter_model.safetensors";
    const taken = stepsTaken(readSafetensors(join(root, adapter, file)), readSafetensors(join(folder, file)), rate);
    return [
      ...outcomes,
      measured(`${name}/gradients`, tensorError(taken, gradients(recorded, entry.case)), tolerance.grads),
    ];
  } finally {
    session.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A session of which a step takes nothing but the gradient, times the rate, off the weights. */
function plainDescent(path: string): SessionOptions {
  return {
    adapter: { type: "saved", path },
    optimizer: { type: "sgd", momentum: 0, dampening: 0, nesterov: false },
    parameterGroups: parameterKinds.map((kind) => ({ name: kind, parameters: [kind], rate: 1, decay: 0 })),
    gradientCheckpointing: false,
    seed: 0,
  };
}

/** The batch as rows that are tokenised already, with the weights of the case. */
function rowsOf(batch: Map<string, number[][]>, recorded: Map<string, Float32Array>, name: string) {
  const [tokens, ofRows] = [recorded.get("token_weights.weights"), recorded.get("row_weights.weights")];
  const column = (key: string, row: number) => batch.get(key)?.[row];
  return (batch.get("input_ids") ?? []).map((ids, row) => ({
    input_ids: ids,
    labels: column("labels", row),
    attention_mask: column("attention_mask", row),
    ...(name === "token_weights" && {
      weights: [...(tokens?.subarray(row * ids.length, (row + 1) * ids.length) ?? [])],
    }),
    ...(name === "row_weights" && { weight: ofRows?.[row] }),
  }));
}

/** The gradients of a step of this rate. */
function stepsTaken(before: Map<string, Float32Array>, after: Map<string, Float32Array>, rate: number) {
  const taken = [...before].map(([name, values]) => {
    const left = after.get(name);
    return [name, values.map((value, index) => (value - (left?.[index] ?? Number.NaN)) / rate)] as const;
  });
  return new Map(taken);
}

function gradients(recorded: Map<string, Float32Array>, name: string): Map<string, Float32Array> {
  const prefix = `${name}.grad.`;
  const own = [...recorded].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, values]) => [key.slice(prefix.length), values]));
}

// Objectives written in TypeScript against those of TRL: DPO's sigmoid loss on `trl/dpo/inputs-*`.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel } from "@tunesmith/native";
import { SFTTrainer, type StepEvent } from "@tunesmith/trainer";
import { readIntegers } from "../../support/safetensors.ts";
import { sigmoidDpo } from "../objectives/sigmoid-dpo.ts";
import { attempt, measured, type Outcome, relative } from "../outcome.ts";

interface Case {
  name: string;
  loss_type: string[];
  beta: number;
  f_divergence_type: string;
  ld_alpha: number | null;
  use_weighting: boolean;
  policy: string;
  reference: string;
  trained: string;
  loss: number;
  grad_norm: number;
  dlogp: number[][];
}

interface Golden {
  model: string;
  inputs: string;
  weights: Record<string, string | null>;
  cases: Case[];
}

/** Whether a case is DPO's plain loss of an adapter against its base. */
function isPlain({ loss_type: types, f_divergence_type: divergence, ...rest }: Case): boolean {
  const { ld_alpha: alpha, use_weighting: isWeighted, reference, trained } = rest;
  const isSigmoid = types.join() === "sigmoid" && divergence === "reverse_kl" && alpha === null && !isWeighted;
  return isSigmoid && reference === "base" && trained === "adapter";
}

/** `trl/dpo/losses-*`: its plain cases, by a function of thirty lines that is given to SFTTrainer. */
export async function ownObjectives(root: string): Promise<Outcome[]> {
  const dir = join(root, "trl/dpo");
  if (!existsSync(dir)) return [];
  const outcomes: Outcome[] = [];
  for (const file of readdirSync(dir).filter((name) => /^losses.*\.json$/u.test(name))) {
    const golden = JSON.parse(readFileSync(join(dir, file), "utf8")) as Golden;
    for (const entry of golden.cases.filter(isPlain)) {
      const name = `trl/dpo/${file}/${entry.name}/own-objective`;
      outcomes.push(...(await attempt(name, () => oneCase(name, { root, dir, golden, entry }))));
    }
  }
  return outcomes;
}

interface Setting {
  root: string;
  dir: string;
  golden: Golden;
  entry: Case;
}

async function oneCase(name: string, { root, dir, golden, entry }: Setting): Promise<Outcome[]> {
  const inputs = readIntegers(join(dir, golden.inputs));
  const column = (key: string) => inputs.get(key) ?? [];
  const rows = column("input_ids").map((ids, row) => ({
    input_ids: ids,
    attention_mask: column("attention_mask")[row],
    completion_mask: column("completion_mask")[row],
  }));
  const { compute, referenceLogProbs } = sigmoidDpo(entry.beta);
  let slopeError = Number.POSITIVE_INFINITY;
  const outputDir = mkdtempSync(join(tmpdir(), "tunesmith-objective-"));
  try {
    const trainer = new SFTTrainer({
      model: await loadModel(join(root, "models", golden.model), { device: "cpu" }),
      trainDataset: rows,
      peftConfig: { adapterPath: join(root, golden.weights[entry.policy] ?? "") },
      args: {
        ...{ outputDir, maxSteps: 1, perDeviceTrainBatchSize: rows.length, gradientAccumulationSteps: 1 },
        ...{ trainSamplingStrategy: "sequential", maxLength: null, saveStrategy: "no", maxGradNorm: 0 },
      },
      computeLossFunc: {
        referenceLogProbs,
        compute: async (batch) => {
          const result = await compute(batch);
          // A mean over pairs, as TRL's is.
          const slopes = result.logProbGradients.map((list) => Array.from(list, (x) => x / result.denominator));
          slopeError = worst(slopes, batch.rows, entry.dlogp);
          return result;
        },
      },
    });
    const steps: StepEvent[] = [];
    for await (const event of trainer.train()) if (event.type === "step") steps.push(event);
    const [step] = steps;
    return [
      measured(`${name}/loss`, relative(step?.loss ?? Number.NaN, entry.loss), 1e-4),
      measured(`${name}/grad_norm`, relative(step?.gradNorm ?? Number.NaN, entry.grad_norm), 1e-4),
      measured(`${name}/dlogp`, slopeError, 1e-4),
    ];
  } finally {
    rmSync(outputDir, { recursive: true, force: true });
  }
}

/** Largest difference over the largest derivative. A derivative of TRL stands one place before the token that it is of. */
function worst(
  slopes: readonly number[][],
  rows: readonly { positions: Int32Array }[],
  expected: readonly number[][],
): number {
  const largest = Math.max(...expected.flat().map(Math.abs));
  const errors = expected.flatMap((wanted, row) => {
    const got = new Float64Array(wanted.length);
    for (const [n, position] of (rows[row]?.positions ?? []).entries())
      got[position - 1] = slopes[row]?.[n] ?? Number.NaN;
    return wanted.map((value, t) => Math.abs(value - (got[t] as number)));
  });
  return Math.max(...errors) / largest;
}

// `trl/grpo/losses*` with a model: norm and direction of the gradient of every recorded micro-batch.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { grpoConfigSchema, loraConfigSchema, parseOptions, type TrainSession } from "@tunesmith/core";
import { collate, type Example, IGNORE_INDEX } from "@tunesmith/data";
import { loadModel } from "@tunesmith/native";
import { completionsLoss } from "../../../packages/trainer/src/grpo/losses/loss.ts";
import { sessionOptions } from "../../../packages/trainer/src/options/session-options.ts";
import { twoPhaseStep } from "../../../packages/trainer/src/two-phase/step.ts";
import { readSafetensors } from "../../support/safetensors.ts";
import { attempt, measured, type Outcome, relative } from "../outcome.ts";
import { lossError } from "./dpo-losses.ts";
import { type GRPOCase, type GRPOGolden, grpoGoldens, inputsOf, settingsOf } from "./grpo-losses.ts";

/** `trl/grpo/losses*` with the model that they are of. */
export async function grpoGradients(root: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { dir, file, golden } of grpoGoldens(root))
    outcomes.push(...(await attempt(`trl/grpo/${file}`, () => oneFile(root, { dir, file, golden }))));
  return outcomes;
}

async function oneFile(
  root: string,
  { dir, file, golden }: { dir: string; file: string; golden: GRPOGolden },
): Promise<Outcome[]> {
  const model = await loadModel(join(root, "models", golden.model), { device: "cpu" });
  const peft = parseOptions(loraConfigSchema, { adapterPath: join(root, golden.adapter) });
  // A step of rate 1 without momentum moves each weight by its gradient.
  const session = await model.createSession(sessionOptions(parseOptions(grpoConfigSchema, { optim: "sgd" }), peft));
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-grpo-"));
  try {
    const start = join(folder, "start");
    mkdirSync(start);
    await session.saveCheckpoint(start);
    const outcomes: Outcome[] = [];
    for (const [index, entry] of golden.cases.entries()) {
      await session.loadCheckpoint(start);
      const after = join(folder, String(index));
      mkdirSync(after);
      const name = `trl/grpo/${file}/${entry.name ?? index}/model`;
      const inputs = join(dir, golden.inputs ?? "inputs.safetensors");
      outcomes.push(...(await oneCase(name, { session, inputs, entry, eos: model.info.eosTokenIds, start, after })));
    }
    return outcomes;
  } finally {
    session.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Setting {
  session: TrainSession;
  inputs: string;
  entry: GRPOCase;
  eos: readonly number[];
  /** Folders of the adapter before and after the step. */
  start: string;
  after: string;
}

async function oneCase(name: string, { session, inputs, entry, eos, start, after }: Setting): Promise<Outcome[]> {
  const { sequences, places, column, advantages } = inputsOf(inputs, entry, eos);
  const rows = sequences.flatMap(({ ids, completionStart }, row) => {
    const trained = places[row] ?? [];
    if (trained.length === 0) return [];
    const labels = new Int32Array(ids.length).fill(IGNORE_INDEX);
    for (const t of trained) labels[completionStart + t] = ids[completionStart + t] as number;
    const example: Example = {
      ...{ ids: Int32Array.from(ids), labels, turns: 2, length: ids.length, rowId: row, truncated: false },
    };
    return [example];
  });
  const accumulation = entry.gradient_accumulation_steps ?? 1;
  const scope = {
    generationTokens: entry.num_items_in_batch,
    stepsPerGeneration: entry.steps_per_generation ?? 1,
    microBatches: accumulation,
    entropyCoef: entry.entropy_coef ?? 0,
  };
  const step = { step: 1, seed: 0, tokenBudget: 64, temperature: entry.temperature ?? 1, values: [], reference: null };
  const [loss] = await twoPhaseStep(session, { ...step, microBatches: [rows], collate }, (_, found) => {
    const values = places.map((trained, row) => {
      const own = found.find(({ placed }) => placed.example.rowId === row);
      return {
        logProbs: own?.logProbs ?? [],
        entropies: own?.entropies ?? [],
        oldLogProbs: entry.old_per_token_logps === false ? null : column("old")(row),
        referenceLogProbs: trained.length === 0 ? null : column("ref")(row),
        advantage: advantages[row] as number,
      };
    });
    const { loss: of, derivatives } = completionsLoss(values, settingsOf(entry), scope);
    return { derivatives: derivatives.filter((_, row) => (places[row] ?? []).length > 0), outcome: of };
  });
  const learningRates = new Float64Array(session.info.parameterGroups.length).fill(1);
  const { gradNorm } = await session.update({ learningRates, maxGradNorm: null, denominator: accumulation });
  await session.saveAdapter(after);
  return [
    measured(`${name}/loss`, lossError((loss ?? Number.NaN) / accumulation, entry.loss), 1),
    measured(`${name}/grad_norm`, relative(gradNorm, entry.grad_norm), 1e-4),
    ...(entry.grad_dot_adapter === undefined
      ? []
      : [
          measured(
            `${name}/grad_dot_adapter`,
            Math.abs(gradientDotWeights(start, after) - entry.grad_dot_adapter) / entry.grad_norm,
            1e-4,
          ),
        ]),
  ];
}

/** Σ gradient · weight, the gradient being how far each weight has moved. */
function gradientDotWeights(start: string, after: string): number {
  const file = "adapter_model.safetensors";
  const [before, now] = [readSafetensors(join(start, file)), readSafetensors(join(after, file))];
  let dot = 0;
  for (const [name, weights] of before)
    for (const [n, weight] of weights.entries()) dot += (weight - (now.get(name)?.[n] ?? Number.NaN)) * weight;
  return dot;
}

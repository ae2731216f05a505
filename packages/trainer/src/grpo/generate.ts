// Makes a generation: completions, their rewards, advantages, and what the models say of them before they are trained on.
import type { Generator, ParsedGRPOConfig, Tokenizer, TrainSession } from "@tunesmith/core";
import { generationSeed } from "@tunesmith/curriculum";
import { coalesce, collate, type Placed } from "@tunesmith/data";
import type { RatedCompletion } from "../loop/events.ts";
import type { HookLimits } from "../loop/hooks/call-hook.ts";
import type { RewardJournal } from "../rewards/journal.ts";
import type { RewardObject, RewardState } from "../rewards/reward.ts";
import { type RewardTable, score } from "../rewards/score.ts";
import { columnsOf, type ReferenceModel } from "../two-phase/reference.ts";
import { bySequence, type Pass } from "../two-phase/sequence-values.ts";
import { type AdvantageSettings, type Advantages, advantagesOf } from "./advantages/advantages.ts";
import { rewardMetrics } from "./advantages/metrics.ts";
import { completionMetrics } from "./completion-metrics.ts";
import { exampleOf, type GeneratedCompletion, type Generation } from "./generation.ts";
import type { GenerationPlan } from "./generation-batches.ts";
import type { PromptRow } from "./prompts.ts";
import { checkedRollout, type RolloutFunc, sampledRollout } from "./rollout.ts";

/** What generations are made with. */
export interface GenerationMaker {
  args: ParsedGRPOConfig;
  prompts: readonly PromptRow[];
  tokenizer: Tokenizer;
  vocabSize: number;
  /** Tokens that end a completion. */
  eosTokenIds: readonly number[];
  rewards: readonly RewardObject[];
  journal: RewardJournal;
  /** Gives the completions in place of sampling; null: they are sampled. */
  rolloutFunc: RolloutFunc | null;
  /** Null: none is asked. */
  reference: ReferenceModel | null;
  /** Ends everything that is waited for. */
  signal: AbortSignal;
}

/** What is asked for. */
export interface GenerationRequest {
  session: TrainSession;
  plan: GenerationPlan;
  state: RewardState;
  /** Whether steps after the one in hand train on it: the model will then not be the one that wrote it. */
  outlivesStep: boolean;
}

/** A generation, and what is told of it. */
export interface MadeGeneration {
  generation: Generation;
  /** By TRL's names, and those of the program. */
  metrics: Record<string, number>;
  /** Tokens of all prompts and completions. */
  tokens: number;
  rated: (RatedCompletion & { extra: Record<string, unknown>; place: string })[];
  /** Share of the completions without variance in their group, and the deviation over the generation. */
  spread: Pick<Advantages, "zeroDeviation"> & { deviation: number };
  /** What hooks held the event loop. */
  held: [label: string, milliseconds: number][];
}

/** Samples completions of the plan's prompts, rates them, and asks the models what they say of them. */
export async function makeGeneration(maker: GenerationMaker, request: GenerationRequest): Promise<MadeGeneration> {
  const { args, prompts, rewards, journal, signal, tokenizer } = maker;
  const { plan, session, state, outlivesStep } = request;
  const rows = Array.from(plan.prompts, (row) => ({ row, of: prompts[row] as PromptRow }));
  const written = await write(maker, request, rows);
  const texts = written.map(({ ids }) => tokenizer.decode(ids));
  const size = args.numGenerations;
  const groups = rows.map(({ of: { prompt, place, columns } }, n) => ({
    ...{ prompt, place, columns, completions: texts.slice(n * size, (n + 1) * size) },
    completionIds: written.slice(n * size, (n + 1) * size).map(({ ids }) => ids),
  }));
  const held: MadeGeneration["held"] = [];
  const limits = {
    timeout: args.rewardTimeout,
    concurrency: args.rewardConcurrency,
    retries: args.rewardRetries,
    onHeld: ((label, milliseconds) => held.push([label, milliseconds])) satisfies HookLimits["onHeld"],
  };
  const table = await score(rewards, { groups, state, signal }, limits, journal);
  const found = advantagesOf(table.rewards, {
    ...args,
    // What is true or false in a file has been read as its word.
    scaleRewards: args.scaleRewards as AdvantageSettings["scaleRewards"],
  });
  const completions = written.map(
    ({ row, ids, trained, isTruncated }, n): GeneratedCompletion => ({
      ...{ row, ids, trained, advantage: found.advantages[n] as number },
      isMasked: args.maskTruncatedCompletions && isTruncated,
      ...{ oldLogProbs: null, referenceLogProbs: null },
    }),
  );
  await ask(maker, session, completions, outlivesStep);
  const logged = rewardMetrics(
    table.rewards,
    rewards.map(({ name }) => name),
    found,
  );
  return {
    generation: { generation: plan.generation, step: state.step, completions },
    metrics: { ...completionMetrics(written), ...logged, ...table.metrics },
    tokens: written.reduce((sum, { row, ids }) => sum + ids.length + (prompts[row] as PromptRow).promptIds.length, 0),
    rated: rated(maker, { written, texts, table, found }),
    spread: { zeroDeviation: found.zeroDeviation, deviation: logged.reward_std ?? 0 },
    held,
  };
}

interface Written {
  row: number;
  ids: Int32Array;
  trained: Uint8Array | null;
  isTruncated: boolean;
}

async function write(
  { args, vocabSize, eosTokenIds, rolloutFunc, signal }: GenerationMaker,
  { plan, session, state }: GenerationRequest,
  rows: readonly { row: number; of: PromptRow }[],
): Promise<Written[]> {
  const input = {
    prompts: rows.map(({ of: { prompt, promptIds, columns } }) => ({ prompt, promptIds, columns })),
    numGenerations: args.numGenerations,
    seed: generationSeed(args.seed, plan.generation),
    ...{ state, session: session as Generator, signal },
  };
  const given = await (rolloutFunc ?? sampledRollout(args, eosTokenIds))(input);
  return checkedRollout(given, input, vocabSize).map(({ ids, trained }, n) => ({
    row: rows[Math.floor(n / args.numGenerations)]?.row as number,
    ...{ ids, trained, isTruncated: !eosTokenIds.includes(ids.at(-1) ?? -1) },
  }));
}

/** Log-probabilities by the model as it is now, where it will be another one, and by the reference. */
async function ask(
  { args, prompts, reference }: GenerationMaker,
  session: TrainSession,
  completions: readonly GeneratedCompletion[],
  outlivesStep: boolean,
): Promise<void> {
  if (!outlivesStep && reference === null) return;
  const asked = completions.flatMap((completion) => {
    const example = exampleOf(completion, (prompts[completion.row] as PromptRow).promptIds);
    return example === null ? [] : [{ completion, example }];
  });
  const passes = coalesce([asked.map(({ example }) => example)], args.tokenBudget).map(
    (placed: readonly Placed[]): Pass => ({ placed, batch: collate(placed) }),
  );
  const old = outlivesStep ? await columnsOf(session, passes, args.temperature) : null;
  const references = reference === null ? null : await reference.logProbs(session, passes, args.temperature);
  let n = 0;
  for (const [index, pass] of passes.entries()) {
    const of = (column: Float32Array | undefined) =>
      column === undefined ? [] : bySequence(pass, asColumn(column), null).map(({ logProbs }) => logProbs);
    const [olds, refs] = [of(old?.[index]), of(references?.[index])];
    for (const place of pass.placed.keys()) {
      const { completion } = asked[n] as (typeof asked)[number];
      completion.oldLogProbs = olds[place] ?? null;
      completion.referenceLogProbs = refs[place] ?? null;
      n += 1;
    }
  }
}

/** A column of log-probabilities as values of tokens. */
function asColumn(logProb: Float32Array) {
  const none = new Float32Array(logProb.length);
  return { logProb, entropy: none, logSumExp: none, meanLogProb: none, hit: new Uint8Array(logProb.length) };
}

function rated(
  { prompts, rewards }: GenerationMaker,
  { written, texts, table, found }: { written: Written[]; texts: string[]; table: RewardTable; found: Advantages },
): MadeGeneration["rated"] {
  return written.map(({ row }, n) => {
    const { prompt, place } = prompts[row] as PromptRow;
    const reward = found.rewards[n] as number;
    const last = typeof prompt === "string" ? prompt : prompt.at(-1)?.content;
    return {
      prompt: typeof last === "string" ? last : JSON.stringify(last ?? ""),
      completion: texts[n] as string,
      rewards: Object.fromEntries(rewards.map(({ name }, f) => [name, table.rewards[n]?.[f] ?? null])),
      reward: Number.isNaN(reward) ? null : reward,
      advantage: found.advantages[n] as number,
      extra: table.extra[n] ?? {},
      place,
    };
  });
}

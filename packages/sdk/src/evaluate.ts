// Evaluates a model on held-out rows, with its base next to it.
import {
  AbortError,
  type EvaluationConfig,
  evaluationConfigSchema,
  expandHome,
  type GenerationConfig,
  generationConfigSchema,
  type LanguageModel,
  LineFile,
  OptionError,
  type OptionKeys,
  parseOptions,
  refuseInput,
  remove,
  replaceFile,
  type SFTConfig,
  sftConfigSchema,
  sortOptionsBeside,
  TunesmithError,
} from "@tunesmith/core";
import { type DataReport, type DatasetSource, type FormattingFunc, pathsOf } from "@tunesmith/data";
import { similarity } from "@tunesmith/native";
import {
  type AnswerEvent,
  type EvaluationProgress,
  type EvaluationTable,
  evaluateModels,
  type KeptRow,
  type RowMetric,
  type UseWeights,
  withPreset,
} from "@tunesmith/trainer";
import { FastLanguageModel } from "./fast-language-model.ts";

/** Options of {@link evaluate}; those of a generation say how answers are written, and `seed` what is resampled too. */
export interface EvaluateOptions extends EvaluationConfig, GenerationConfig {
  /** Held-out rows, in any form that a trainer takes. */
  data: DatasetSource;
  /**
   * What the model is compared with on the same rows: `true` for itself without its adapter, or another model, whose tokenizer must be
   * the same. Default: true where the model has an adapter, else false.
   */
  base?: boolean | LanguageModel;
  /** Metrics of one's own by name: what each makes of one answer. The mean over the rows stands in the tables. Default: none. */
  metrics?: Readonly<Record<string, RowMetric>>;
  /** Makes of each row what a format reads. Default: rows are read as they are. */
  formattingFunc?: FormattingFunc;
  /** Options of the run, which say how rows are read and what of them counts. Default: none set. */
  args?: SFTConfig;
  /**
   * File of JSON lines to write: every row with the answers and its metrics. It appears whole at the end; while answers are written they
   * stand in the same name with `.part` after it, which an evaluation that was stopped leaves. Default: none.
   */
  answersFile?: string;
  /** Stops between two passes, or after the token in hand; `evaluate` then rejects with `AbortError`. */
  signal?: AbortSignal;
  /** Told how far it is. Default: not told. */
  onProgress?: (progress: EvaluationProgress) => void;
}

/** What {@link evaluate} finds. */
export interface Evaluation {
  /** All rows. */
  overall: EvaluationTable;
  /** By the values of `groupBy`, in the order in which they come; empty without it. */
  groups: EvaluationTable[];
  groupBy: string | null;
  /** Share of the resamples that intervals cover. */
  confidence: number;
  resamples: number;
  seed: number;
  data: DataReport;
  warnings: string[];
  /** Each row with its answers and metrics. */
  rows: KeptRow[];
}

const evaluateKeys: OptionKeys<Omit<EvaluateOptions, keyof EvaluationConfig | keyof GenerationConfig>> = {
  data: "required",
  base: "optional",
  metrics: "optional object",
  formattingFunc: "optional function",
  args: "optional object",
  answersFile: "optional path",
  signal: "optional signal",
  onProgress: "optional function",
};

/** Names of the metrics that are there in any case. */
const ownNames = ["loss", "perplexity", "tokenAccuracy", "exactMatch", "rougeL"];

/**
 * Loss, perplexity, token accuracy, exact match, ROUGE-L and metrics of one's own on held-out rows, each with a confidence interval: of
 * the model as it answers, and of its base on the same rows. Loss is the mean over all supervised tokens of the rows, in nats, and
 * perplexity its exponential. Answers are those to the prompts of the rows, greedy unless a temperature is given; exact match compares
 * them with the reference without white space around both, ROUGE-L is the F-measure of rouge-score without a stemmer.
 * Rejects with `DataError` for rows that cannot be used, `OptionError` for options, `CallbackError` for a metric that throws.
 */
export async function evaluate(model: LanguageModel, options: EvaluateOptions): Promise<Evaluation> {
  const schemas = { evaluation: evaluationConfigSchema, generation: generationConfigSchema };
  const [{ evaluation, generation }, given] = sortOptionsBeside(schemas, evaluateKeys, options, "evaluate");
  const { data, metrics = {}, formattingFunc = null, answersFile } = given;
  const { signal = new AbortController().signal, onProgress = () => {} } = given;
  const args = parseOptions(sftConfigSchema, withPreset(given.args ?? {}, {}, model).args);
  refuseMetrics(metrics);
  const use = { model: weightsOf(model), base: await baseOf(model, given.base) };
  const kept = answersFile === undefined ? null : await Kept.open(expandHome(answersFile), pathsOf(data) ?? []);
  try {
    const found = await evaluateModels({
      ...{ model, dataset: data, formattingFunc, args, evaluation, generation, metrics, use, similarity, signal },
      onProgress,
      onAnswer: (answer) => kept?.add(answer),
    });
    await kept?.finish(found.rows);
    const { groupBy, confidence, resamples } = evaluation;
    return { ...found, groupBy, confidence, resamples, seed: generation.seed };
  } catch (error) {
    if (!signal.aborted || (TunesmithError.isInstance(error) && !(error instanceof AbortError))) throw error;
    throw new AbortError(`[evaluate] stopped as asked${kept?.left ?? ""}`, { cause: error });
  } finally {
    await kept?.close();
  }
}

/** From JavaScript anything may come. */
function refuseMetrics(metrics: Readonly<Record<string, unknown>>): void {
  for (const [name, metric] of Object.entries(metrics)) {
    if (typeof metric !== "function")
      throw new OptionError(`[metrics.${name}] expected a function, got ${typeof metric}; give one`);
    if (ownNames.includes(name))
      throw new OptionError(`[metrics.${name}] expected another name than ${ownNames.join(", ")}; choose one`);
  }
}

/** The weights that a model answers with: its own, or loaded for the work. */
function weightsOf(model: LanguageModel): UseWeights {
  if (model instanceof FastLanguageModel) return async (work) => work(await model.answering());
  return async (work) => {
    await using session = await model.createGenerator();
    return work(session);
  };
}

/** The weights of what a model is compared with; null for nothing. */
async function baseOf(model: LanguageModel, base: EvaluateOptions["base"]): Promise<UseWeights | null> {
  const hasAdapter = model instanceof FastLanguageModel && model.saved.adapter !== null;
  if (base === false || (base === undefined && !hasAdapter)) return null;
  if (base === true || base === undefined) {
    if (!(model instanceof FastLanguageModel) || !hasAdapter)
      throw new OptionError("[base] expected a model, since this one has no adapter to leave out, got true; give one");
    return withoutAdapter(model);
  }
  if (typeof base.createGenerator !== "function")
    throw new OptionError("[base] expected true, false or a model, got something else; open one with fromPretrained");
  const [own, other] = await Promise.all([model.tokenizer.fingerprint(), base.tokenizer.fingerprint()]);
  if (own !== other)
    throw new OptionError(
      "[base] expected a model with the same tokenizer and chat template, since rows are read once for both, got another; evaluate them one by one, or leave it out",
    );
  return weightsOf(base);
}

function withoutAdapter(model: FastLanguageModel): UseWeights {
  return async (work) => {
    const session = await model.answering();
    const { active } = await session.adapters();
    if (active === null) return work(session);
    await session.disableAdapter();
    try {
      return await work(session);
    } finally {
      await session.enableAdapter();
    }
  };
}

/** The file of answers: lines as they come, then every row in one piece. */
class Kept {
  readonly #path: string;
  readonly #lines: LineFile;
  #writing: Promise<void> = Promise.resolve();
  #answers = 0;

  private constructor(path: string, lines: LineFile) {
    this.#path = path;
    this.#lines = lines;
  }

  static async open(path: string, inputs: readonly string[]): Promise<Kept> {
    await refuseInput(path, inputs);
    return new Kept(path, await LineFile.open(`${path}.part`, 0));
  }

  add({ contender, row: { place, group, prompt }, text, finishReason, tokens }: AnswerEvent): void {
    this.#answers += 1;
    const asked = { prompt: prompt?.prompt ?? null, reference: prompt?.reference ?? null };
    this.#lines.add({ contender, place, group, ...asked, answer: text, finishReason, tokens });
    // What cannot be written now is tried with the next line, and told by the last.
    this.#writing = this.#writing.then(() => this.#lines.flush()).catch(() => {});
  }

  async finish(rows: readonly KeptRow[]): Promise<void> {
    await replaceFile(this.#path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    await this.#writing;
    await remove(`${this.#path}.part`);
  }

  /** What is left of it, in words. */
  get left(): string {
    return this.#answers === 0 ? "" : `; ${this.#answers} answers are in ${this.#path}.part`;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#lines.flush().catch(() => {});
    await this.#lines.close();
  }
}

// A language model of bigram tables, for tests without a binary.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AdapterState,
  ArgumentError,
  type Batch,
  type Coefficients,
  DisposedError,
  type GenerateOptions,
  type LanguageModel,
  type MemoryPlan,
  modelConfigSchema,
  type Objective,
  originOf,
  type SequenceSums,
  type SessionInfo,
  type SessionOptions,
  type StepKey,
  type TokenEvent,
  type TokenValueName,
  type TokenValues,
  type TrainSession,
  type UpdateOptions,
  type UpdateResult,
} from "@tunesmith/core";
import { endOfTurn as end, letterTokenizer, letterVocab as vocab } from "../../../core/src/testing/letter-tokenizer.ts";
import { addCoefficients, sequenceSums, tokenValues } from "./bigram.ts";

/** What a test may change about the fake, and see of it. */
export interface FakeOptions {
  /** Steps whose gradient is not finite. */
  nonFiniteSteps?: readonly number[];
  untrainedTokens?: number[];
  /** The library that is said to compute the products. */
  matmulLibrary?: string;
  /** Evaluation losses to give, one per call of `evaluate`, in place of the real ones. */
  evalLosses?: readonly number[];
  /** Mean losses of training steps to give, from step 1 on, in place of the real ones. */
  stepLosses?: readonly number[];
  /** Gradient norms to tell, from step 1 on, in place of the real ones. */
  gradNorms?: readonly number[];
  /** Answers to give, by call of `generate`, from 1, prompt and sample, in place of the real ones; ids of letters. */
  answers?: (call: number, index: number, sample: number) => readonly number[];
  /** Bytes that the engine is said to hold. */
  inUse?: number;
  /** Told about every call of the session, in order. */
  onCall?: (name: string) => void;
  /** What a session is said to hold. */
  plan?: MemoryPlan;
  /** What it is said to hold when layers are computed again, where that is less. */
  checkpointedPlan?: MemoryPlan;
  /** Where a model folder would be. */
  path?: string;
  /** What is to be known of its files. */
  modelWarnings?: string[];
}

const smallPlan: MemoryPlan = {
  weights: 0,
  trained: 0,
  gradients: 0,
  optimizer: 0,
  activations: 0,
  peak: 0,
  loading: 0,
  totalParameters: vocab * vocab,
  trainableParameters: vocab * vocab,
  device: "cpu",
  free: null,
};

/** A language model whose sessions are bigram tables: small, deterministic, with real losses and gradients. */
export function fakeModel(options: FakeOptions = {}): LanguageModel {
  return {
    info: {
      path: options.path ?? "fake-model",
      origin: originOf(options.path ?? "fake-model"),
      modelType: "fake",
      vocabSize: vocab,
      hiddenSize: vocab,
      numHiddenLayers: 1,
      maxPositionEmbeddings: 512,
      eosTokenIds: [end],
      weightBytes: vocab * vocab * 8,
      warnings: options.modelWarnings ?? [],
    },
    tokenizer: letterTokenizer,
    weightOptions: modelConfigSchema.parse({}),
    estimateMemory: async ({ gradientCheckpointing }, { tokens, twoPhases }) =>
      (gradientCheckpointing ? options.checkpointedPlan : undefined) ??
      options.plan ?? { ...smallPlan, activations: tokens, peak: twoPhases === true ? 2 * tokens : tokens },
    createGenerator: async () => {
      options.onCall?.("createGenerator");
      return new FakeSession(options, { adapter: null, parameterGroups: [], seed: 0 });
    },
    createSession: async (sessionOptions) => {
      options.onCall?.("createSession");
      return new FakeSession(options, sessionOptions);
    },
  };
}

/** An answer as it is given, up to the limit of tokens, with the end of turn where there is room for it. */
function shortened(ids: readonly number[], maxNewTokens: number): number[] {
  return [...ids, end].slice(0, maxNewTokens);
}

/** Logits of the next id by the id before it, trained by gradient descent with momentum. */
class FakeSession implements TrainSession {
  readonly info: SessionInfo;
  readonly #options: FakeOptions;
  readonly #full: boolean;
  #weights = new Float64Array(vocab * vocab);
  #momentum = new Float64Array(vocab * vocab);
  #gradient = new Float64Array(vocab * vocab);
  /** What the adapter began with: the model while it is off. */
  readonly #base: Float64Array;
  #isAdapterOff = false;
  #evaluations = 0;
  #steps = 0;
  #generations = 0;
  /** What the last `forward` was given, until its `backward`. */
  #waiting: { batch: Batch; step: number } | null = null;
  #disposed = false;

  constructor(
    options: FakeOptions,
    { adapter, parameterGroups, seed }: Pick<SessionOptions, "adapter" | "parameterGroups" | "seed">,
  ) {
    this.#options = options;
    this.#full = adapter === null;
    const size = vocab * vocab;
    for (let i = 0; i < size; i += 1) this.#weights[i] = 0.01 * Math.sin(i * 12.9898 + seed);
    this.#base = this.#weights.slice();
    this.info = {
      backend: "fake",
      backendNote: null,
      threads: 1,
      matmulLibrary: this.#options.matmulLibrary ?? null,
      totalParameters: size,
      trainableParameters: size,
      // The table is a matrix.
      parameterGroups: parameterGroups.map(({ name, parameters, rate, decay }) => ({
        name,
        parameters: parameters.includes("decay") ? size : 0,
        rate,
        decay,
      })),
      adapterModules: this.#full ? null : ["table"],
      quantization: null,
      untrainedTokens: this.#options.untrainedTokens ?? [],
      warnings: [],
    };
  }

  async accumulate(batch: Batch, { objective, step }: StepKey & { objective: Objective }): Promise<SequenceSums> {
    this.#call("accumulate");
    const sums = sequenceSums(this.#weights, batch, objective, this.#gradient);
    const given = this.#options.stepLosses?.[step - 1];
    if (given !== undefined) for (const [n, weight] of sums.weightSum.entries()) sums.lossSum[n] = given * weight;
    if (this.#options.nonFiniteSteps?.includes(step)) {
      this.#gradient[0] = Number.NaN;
      sums.lossSum[0] = Number.NaN;
    }
    return sums;
  }

  async logProbs(batch: Batch, { values = [] }: { values?: readonly TokenValueName[] } = {}): Promise<TokenValues> {
    this.#call("logProbs");
    return tokenValues(this.#isAdapterOff ? this.#base : this.#weights, batch, values);
  }

  async forward(
    batch: Batch,
    { step, values = [] }: StepKey & { values?: readonly TokenValueName[] },
  ): Promise<TokenValues> {
    this.#call("forward");
    if (this.#isAdapterOff)
      throw new ArgumentError("[forward] expected the trained adapter to be the active one, got none");
    this.#waiting = { batch, step };
    return tokenValues(this.#weights, batch, values);
  }

  async backward(coefficients: Coefficients): Promise<void> {
    this.#call("backward");
    if (this.#waiting === null)
      throw new ArgumentError("[backward] expected a forward to go back from, got none; call forward first");
    const { batch, step } = this.#waiting;
    this.#waiting = null;
    addCoefficients(this.#weights, batch, coefficients, this.#gradient);
    if (this.#options.nonFiniteSteps?.includes(step)) this.#gradient[0] = Number.NaN;
  }

  async update({ learningRates, maxGradNorm, denominator }: UpdateOptions): Promise<UpdateResult> {
    this.#call("update");
    const told = this.#options.gradNorms?.[this.#steps];
    this.#steps += 1;
    const gradient = this.#gradient.map((value) => value / denominator);
    this.#gradient.fill(0);
    let squares = 0;
    for (let i = 0; i < gradient.length; i += 1) squares += (gradient[i] as number) ** 2;
    const gradNorm = Math.sqrt(squares);
    if (!Number.isFinite(gradNorm)) return { gradNorm, applied: false };
    const clip = maxGradNorm === null ? 1 : Math.min(1, maxGradNorm / (gradNorm + 1e-6));
    // Rates of real runs are made for Adam; a plain table needs larger ones.
    const rate = (learningRates[0] ?? 0) * 10_000;
    for (let i = 0; i < gradient.length; i += 1) {
      const momentum = 0.5 * (this.#momentum[i] as number) + clip * (gradient[i] as number);
      this.#momentum[i] = momentum;
      this.#weights[i] = (this.#weights[i] as number) - rate * momentum;
    }
    return { gradNorm: told ?? gradNorm, applied: true };
  }

  async discardGradient(): Promise<string[]> {
    this.#call("discardGradient");
    const finite = this.#gradient.every(Number.isFinite);
    this.#gradient.fill(0);
    return finite ? [] : ["table"];
  }

  async evaluate(batch: Batch, objective: Objective = { type: "nll" }): Promise<SequenceSums> {
    this.#call("evaluate");
    const sums = sequenceSums(this.#weights, batch, objective, null);
    const given = this.#options.evalLosses?.[this.#evaluations];
    this.#evaluations += 1;
    if (given !== undefined) for (const [n, weight] of sums.weightSum.entries()) sums.lossSum[n] = given * weight;
    return sums;
  }

  async *generate(options: GenerateOptions): AsyncIterable<TokenEvent> {
    const { prompts, maxNewTokens = 256, stopTokenIds, numReturnSequences = 1, logProbs = false, signal } = options;
    this.#call("generate");
    const stops = stopTokenIds ?? [end];
    this.#generations += 1;
    for (const [index, prompt] of prompts.entries())
      for (let sample = 0; sample < numReturnSequences; sample += 1) {
        const given = this.#options.answers?.(this.#generations, index, sample);
        const ids = given === undefined ? this.#greedy(prompt, maxNewTokens, stops) : shortened(given, maxNewTokens);
        for (const [place, tokenId] of ids.entries()) {
          signal?.throwIfAborted();
          const before = ids[place - 1] ?? prompt.at(-1) ?? 0;
          const logProb = logProbs ? this.#logProb(before, tokenId, options.temperature || 1) : null;
          const isStop = stops.includes(tokenId) && place === ids.length - 1;
          const finishReason = isStop ? "stop" : place === maxNewTokens - 1 ? "length" : null;
          yield { index, sample, tokenId, logProb, finishReason };
        }
      }
  }

  /** The likeliest ids, up to the first that stops. */
  #greedy(prompt: Int32Array, maxNewTokens: number, stops: readonly number[]): number[] {
    const ids: number[] = [];
    let token = prompt.at(-1) ?? 0;
    while (ids.length < maxNewTokens && !stops.includes(ids.at(-1) ?? -1)) {
      const row = this.#weights.subarray(token * vocab, (token + 1) * vocab);
      token = row.indexOf(row.reduce((best, value) => Math.max(best, value)));
      ids.push(token);
    }
    return ids;
  }

  #logProb(before: number, id: number, temperature: number): number {
    const row = this.#weights.subarray(before * vocab, (before + 1) * vocab).map((logit) => logit / temperature);
    return (row[id] as number) - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
  }

  async adapters(): Promise<AdapterState> {
    return { names: [], active: null };
  }

  loadAdapter(): Promise<AdapterState> {
    return this.adapters();
  }

  setAdapter(): Promise<AdapterState> {
    return this.adapters();
  }

  disableAdapter(): Promise<AdapterState> {
    this.#call("disableAdapter");
    this.#isAdapterOff = true;
    return this.adapters();
  }

  enableAdapter(): Promise<AdapterState> {
    this.#call("enableAdapter");
    this.#isAdapterOff = false;
    return this.adapters();
  }

  deleteAdapter(): Promise<AdapterState> {
    return this.adapters();
  }

  async saveCheckpoint(dir: string): Promise<void> {
    this.#call("saveCheckpoint");
    await this.saveAdapter(dir);
    await writeFile(join(dir, "optimizer.safetensors"), new Uint8Array(this.#momentum.buffer));
  }

  async loadCheckpoint(dir: string): Promise<void> {
    this.#call("loadCheckpoint");
    const read = async (file: string) => new Float64Array(new Uint8Array(await readFile(join(dir, file))).buffer);
    this.#weights = await read(this.#weightFile);
    this.#momentum = await read("optimizer.safetensors");
  }

  async saveAdapter(dir: string): Promise<void> {
    this.#call("saveAdapter");
    await writeFile(join(dir, this.#weightFile), new Uint8Array(this.#weights.buffer));
    if (!this.#full) await writeFile(join(dir, "adapter_config.json"), "{}\n");
  }

  memory() {
    return { inUse: this.#options.inUse ?? 0, peak: 3 * this.#weights.byteLength };
  }

  dispose(): void {
    this.#disposed = true;
    this.#options.onCall?.("dispose");
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  get #weightFile(): string {
    return this.#full ? "model.safetensors" : "adapter_model.safetensors";
  }

  #call(name: string): void {
    if (this.#disposed) throw new DisposedError(`[session] expected a session in use, got ${name} after dispose()`);
    this.#options.onCall?.(name);
  }
}

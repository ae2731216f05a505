// A language model of bigram tables, for tests without a binary.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AdapterState,
  type Batch,
  type Conversation,
  DataError,
  DisposedError,
  defaultWeightOptions,
  type EncodedConversation,
  type GenerateOptions,
  type LanguageModel,
  type MemoryPlan,
  type RowSums,
  type SessionOptions,
  type TokenEvent,
  type Tokenizer,
  type TrainSession,
} from "@tunesmith/core";

/** Ids are ASCII codes; four more mark turns and ends. */
const vocab = 132;
const header: Readonly<Record<string, number>> = { system: 128, user: 129, assistant: 130 };
const end = 131;

const codes = (text: string) => Array.from(text, (letter) => Math.min(letter.charCodeAt(0), 127));

/** A tokenizer of one id per letter and a template of `ROLE text END` per turn, for tests without a binary. */
export const fakeTokenizer: Tokenizer = {
  info: {
    vocabSize: vocab,
    bosToken: null,
    eosToken: { id: end, content: "<end>" },
    padToken: null,
    chatTemplate: "fake",
    chatTemplateHash: "00",
    hasGenerationTags: true,
  },
  encodeConversations: async (conversations, { addGenerationPrompt = false } = {}) =>
    conversations.map((conversation, index) => encodeConversation(conversation, index, addGenerationPrompt)),
  encodePairs: async (pairs) =>
    pairs.map(({ prompt, completion }) => {
      const ids = Int32Array.from([...codes(prompt), ...codes(completion), end]);
      // As if a space and the letter before it were one token.
      return { ids, promptLength: prompt.length, prefixMismatch: prompt.endsWith(" ") };
    }),
  encodeTexts: async (texts, { appendEos = false } = {}) =>
    texts.map((text) => Int32Array.from([...codes(text), ...(appendEos ? [end] : [])])),
  decode: (ids, { skipSpecialTokens = true } = {}) =>
    Array.from(ids, (id) => (id < 128 ? String.fromCharCode(id) : skipSpecialTokens ? "" : `<${id}>`)).join(""),
  render: (conversation) => conversation.messages.map(({ role, content }) => `<${role}>${content ?? ""}<end>`).join(""),
};

function encodeConversation(
  { messages }: Conversation,
  index: number,
  addGenerationPrompt: boolean,
): EncodedConversation {
  const ids: number[] = [];
  const spans: number[] = [];
  const turns: number[] = [];
  for (const [turn, { role, content }] of messages.entries()) {
    const id = header[role];
    if (id === undefined)
      throw new DataError(`[conversation ${index}] expected a role the template knows, got "${role}"`);
    ids.push(id);
    const start = ids.length;
    ids.push(...codes(content ?? ""), end);
    if (role !== "assistant") continue;
    spans.push(start, ids.length);
    turns.push(turn);
  }
  if (addGenerationPrompt) ids.push(130);
  return { ids: Int32Array.from(ids), spans: Int32Array.from(spans), turns: Int32Array.from(turns) };
}

/** What a test may change about the fake, and see of it. */
export interface FakeOptions {
  /** Steps whose gradient is not finite. */
  nonFiniteSteps?: readonly number[];
  /** Evaluation losses to give, one per call of `evaluate`, in place of the real ones. */
  evalLosses?: readonly number[];
  /** Told about every call of the session, in order. */
  onCall?: (name: string) => void;
  /** What a session is said to hold. */
  plan?: MemoryPlan;
  /** What it is said to hold when layers are computed again, where that is less. */
  checkpointedPlan?: MemoryPlan;
  /** Where a model folder would lie. */
  path?: string;
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
      modelType: "fake",
      vocabSize: vocab,
      hiddenSize: vocab,
      numHiddenLayers: 1,
      maxPositionEmbeddings: 512,
      eosTokenIds: [end],
      weightBytes: vocab * vocab * 8,
    },
    tokenizer: fakeTokenizer,
    weightOptions: defaultWeightOptions,
    estimateMemory: async ({ gradientCheckpointing }, { tokens }) =>
      (gradientCheckpointing ? options.checkpointedPlan : undefined) ??
      options.plan ?? { ...smallPlan, activations: tokens, peak: tokens },
    createSession: async (sessionOptions) => {
      options.onCall?.("createSession");
      return new FakeSession(options, sessionOptions);
    },
  };
}

/** Logits of the next id by the id before it, trained by gradient descent with momentum. */
class FakeSession implements TrainSession {
  readonly info: TrainSession["info"];
  readonly #options: FakeOptions;
  readonly #full: boolean;
  #weights = new Float64Array(vocab * vocab);
  #momentum = new Float64Array(vocab * vocab);
  #gradient = new Float64Array(vocab * vocab);
  #evaluations = 0;
  #disposed = false;

  constructor(options: FakeOptions, { adapter, seed }: SessionOptions) {
    this.#options = options;
    this.#full = adapter === null;
    const size = vocab * vocab;
    for (let i = 0; i < size; i += 1) this.#weights[i] = 0.01 * Math.sin(i * 12.9898 + seed);
    this.info = {
      backend: "fake",
      backendNote: null,
      threads: 1,
      totalParameters: size,
      trainableParameters: size,
      parameterGroups: [{ name: "all", weightDecay: 0, parameters: size }],
      adapterModules: this.#full ? null : ["table"],
      quantization: null,
      warnings: [],
    };
  }

  async accumulate(batch: Batch, { step }: { step: number }): Promise<RowSums> {
    this.#call("accumulate");
    const sums = this.#forward(batch, this.#gradient);
    if (this.#options.nonFiniteSteps?.includes(step)) {
      this.#gradient[0] = Number.NaN;
      sums.lossSum[0] = Number.NaN;
    }
    return sums;
  }

  async update({
    learningRates,
    maxGradNorm,
    denominator,
  }: Parameters<TrainSession["update"]>[0]): Promise<{ gradNorm: number; applied: boolean }> {
    this.#call("update");
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
    return { gradNorm, applied: true };
  }

  async evaluate(batch: Batch): Promise<RowSums> {
    this.#call("evaluate");
    const sums = this.#forward(batch, null);
    const given = this.#options.evalLosses?.[this.#evaluations];
    this.#evaluations += 1;
    if (given !== undefined) for (const [n, weight] of sums.weightSum.entries()) sums.lossSum[n] = given * weight;
    return sums;
  }

  async *generate({ prompts, maxNewTokens, stopTokenIds = [end], signal }: GenerateOptions): AsyncIterable<TokenEvent> {
    this.#call("generate");
    for (const [index, prompt] of prompts.entries()) {
      let token = prompt.at(-1) ?? 0;
      for (let n = 1; n <= maxNewTokens; n += 1) {
        signal?.throwIfAborted();
        const row = this.#weights.subarray(token * vocab, (token + 1) * vocab);
        token = row.indexOf(row.reduce((best, value) => Math.max(best, value)));
        const finishReason = stopTokenIds.includes(token) ? "stop" : n === maxNewTokens ? "length" : null;
        yield { index, tokenId: token, finishReason };
        if (finishReason === "stop") break;
      }
    }
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
    return this.adapters();
  }

  enableAdapter(): Promise<AdapterState> {
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
    return { inUse: 0, peak: 3 * this.#weights.byteLength };
  }

  dispose(): void {
    this.#disposed = true;
    this.#options.onCall?.("dispose");
  }

  get #weightFile(): string {
    return this.#full ? "model.safetensors" : "adapter_model.safetensors";
  }

  #call(name: string): void {
    if (this.#disposed) throw new DisposedError(`[session] expected a session in use, got ${name} after dispose()`);
    this.#options.onCall?.(name);
  }

  /** Sums per sequence; adds the gradient of the summed loss where one is given. A label that is no id is not trained. */
  #forward(batch: Batch, gradient: Float64Array | null): RowSums {
    const n = batch.sequenceStarts.length - 1;
    const sums: RowSums = {
      lossSum: new Float64Array(n),
      weightSum: new Float64Array(n),
      tokens: new Int32Array(n),
      correct: new Int32Array(n),
      entropySum: new Float64Array(n),
    };
    const add = (values: Float64Array | Int32Array, row: number, value: number) => {
      values[row] = (values[row] as number) + value;
    };
    for (let row = 0; row < n; row += 1) {
      const last = batch.sequenceStarts[row + 1] as number;
      for (let t = (batch.sequenceStarts[row] as number) + 1; t < last; t += 1) {
        const label = batch.labels[t] as number;
        if (label < 0) continue;
        const from = (batch.inputIds[t - 1] as number) * vocab;
        const logits = this.#weights.subarray(from, from + vocab);
        let largest = Number.NEGATIVE_INFINITY;
        for (let k = 0; k < vocab; k += 1) largest = Math.max(largest, logits[k] as number);
        let sum = 0;
        for (let k = 0; k < vocab; k += 1) sum += Math.exp((logits[k] as number) - largest);
        add(sums.lossSum, row, Math.log(sum) + largest - (logits[label] as number));
        add(sums.weightSum, row, 1);
        add(sums.tokens, row, 1);
        add(sums.correct, row, logits[label] === largest ? 1 : 0);
        for (let k = 0; k < vocab; k += 1) {
          const p = Math.exp((logits[k] as number) - largest) / sum;
          add(sums.entropySum, row, -p * Math.log(p));
          if (gradient !== null) add(gradient, from + k, p - (k === label ? 1 : 0));
        }
      }
    }
    return sums;
  }
}

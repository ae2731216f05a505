// A model that says what it was told, for tests without a binary.
import {
  type GenerateOptions,
  type GeneratorOptions,
  type LanguageModel,
  modelConfigSchema,
  type SequenceSums,
  type SessionOptions,
  type TokenEvent,
  type Tokenizer,
  type TokenValues,
  type TrainSession,
  textOf,
} from "@tunesmith/core";

const end = 256;

/** Ids are UTF-8 bytes; one more ends a turn. */
const tokenizer: Tokenizer = {
  info: {
    vocabSize: 257,
    bosToken: null,
    eosToken: { id: end, content: "<end>" },
    padToken: null,
    chatTemplate: "echo",
    chatTemplateSha256: "00",
    hasGenerationTags: true,
  },
  encodeConversations: async (conversations) =>
    conversations.map(({ messages }) => {
      const ids = messages.flatMap((message) => bytes(textOf(message) ?? ""));
      const last = bytes(messages.map(textOf).at(-1) ?? "").length;
      const spans = Int32Array.of(ids.length - last, ids.length);
      return { ids: Int32Array.from(ids), spans, turns: Int32Array.of(messages.length - 1) };
    }),
  encodePairs: () => Promise.reject(new Error("not needed")),
  encodeTexts: async (texts) => texts.map((text) => Int32Array.from(bytes(text))),
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids)),
  fingerprint: async () => "echo",
  mapFile: () => Promise.reject(new Error("not needed")),
  render: ({ messages }) => messages.map(({ content }) => content).join(""),
};

function bytes(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

/** What a test sees of an echo model. */
export interface Watched {
  generators: GeneratorOptions[];
  sessions: SessionOptions[];
  disposed: number;
  /** What is to be known of the model's files. */
  modelWarnings?: string[];
}

/** A model that says what it was told, learns nothing, and needs no binary. */
export function echoModel(
  watched: Watched = { generators: [], sessions: [], disposed: 0 },
  chatTemplate: string | null = "echo",
): LanguageModel {
  return {
    info: {
      path: "echo",
      origin: null,
      modelType: "echo",
      vocabSize: 257,
      hiddenSize: 1,
      numHiddenLayers: 1,
      maxPositionEmbeddings: 1024,
      eosTokenIds: [end],
      weightBytes: 0,
      warnings: watched.modelWarnings ?? [],
    },
    tokenizer: { ...tokenizer, info: { ...tokenizer.info, chatTemplate } },
    weightOptions: modelConfigSchema.parse({}),
    estimateMemory: async () => ({
      weights: 0,
      trained: 0,
      gradients: 0,
      optimizer: 0,
      activations: 0,
      peak: 0,
      loading: 0,
      totalParameters: 1,
      trainableParameters: 1,
      device: "cpu",
      free: null,
    }),
    createGenerator: async (options = {}) => {
      watched.generators.push(options);
      return echoSession(watched);
    },
    createSession: async (options) => {
      watched.sessions.push(options);
      return echoSession(watched);
    },
  };
}

/** Names only: an echo has nothing that an adapter could change. */
function echoAdapters(): Pick<
  TrainSession,
  "loadAdapter" | "setAdapter" | "disableAdapter" | "enableAdapter" | "deleteAdapter" | "adapters"
> {
  const names: string[] = [];
  let active: string | null = null;
  let chosen: string | null = null;
  const state = () => ({ names: [...names], active });
  return {
    loadAdapter: async (_dir, name) => {
      names.push(name);
      return state();
    },
    setAdapter: async (name) => {
      active = name;
      chosen = name;
      return state();
    },
    disableAdapter: async () => {
      active = null;
      return state();
    },
    enableAdapter: async () => {
      active = chosen;
      return state();
    },
    deleteAdapter: async (name) => {
      names.splice(names.indexOf(name), 1);
      if (active === name) active = null;
      return state();
    },
    adapters: async () => state(),
  };
}

/** Each prompt again, and an end of turn. */
async function* echoes({ prompts, maxNewTokens, stopWhen, signal }: GenerateOptions): AsyncGenerator<TokenEvent> {
  for (const [index, prompt] of prompts.entries()) {
    for (const [place, tokenId] of [...prompt, end].slice(0, maxNewTokens).entries()) {
      signal?.throwIfAborted();
      const isLast = place + 1 === maxNewTokens;
      const finishReason = tokenId === end ? "stop" : isLast ? "length" : null;
      const event: TokenEvent = { index, sample: 0, tokenId, logProb: null, finishReason };
      if (stopWhen?.(event) === true) event.finishReason = "stop";
      yield event;
      if (event.finishReason !== null) break;
    }
  }
}

function echoSession(watched: Watched): TrainSession {
  const sums = (rows: number): SequenceSums => ({
    lossSum: new Float64Array(rows).fill(1),
    weightSum: new Float64Array(rows).fill(1),
    tokens: new Int32Array(rows).fill(1),
    correct: new Int32Array(rows),
    entropySum: new Float64Array(rows),
  });
  const values = (tokens: number): TokenValues => ({
    logProb: new Float32Array(tokens),
    entropy: new Float32Array(tokens),
    logSumExp: new Float32Array(tokens),
    meanLogProb: new Float32Array(tokens),
    hit: new Uint8Array(tokens),
  });
  const dispose = () => {
    watched.disposed += 1;
  };
  return {
    info: {
      backend: "echo",
      backendNote: null,
      threads: 1,
      matmulLibrary: null,
      totalParameters: 1,
      trainableParameters: 1,
      parameterGroups: [{ name: "all", parameters: 1, rate: 1e-3, decay: 0 }],
      adapterModules: [],
      quantization: null,
      untrainedTokens: [],
      warnings: [],
    },
    accumulate: async ({ rowIds }) => sums(rowIds.length),
    forward: async ({ labels }) => values(labels.length),
    backward: async () => {},
    logProbs: async ({ labels }) => values(labels.length),
    update: async () => ({ gradNorm: 0, applied: true }),
    discardGradient: async () => [],
    evaluate: async ({ rowIds }) => sums(rowIds.length),
    generate: echoes,
    saveCheckpoint: async () => {},
    loadCheckpoint: async () => {},
    saveAdapter: async () => {},
    ...echoAdapters(),
    memory: () => ({ inUse: 0, peak: 0 }),
    dispose,
    [Symbol.dispose]: dispose,
    [Symbol.asyncDispose]: async () => dispose(),
  };
}

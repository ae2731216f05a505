// Door B over the binding.
import type {
  AdapterState,
  Batch,
  GenerateOptions,
  MemoryUsage,
  ModelInfo,
  Objective,
  RowSums,
  SessionInfo,
  TokenEvent,
  TrainSession,
} from "@tunesmith/core";
import { type Native, native, nativeAsync } from "./binding.ts";
import { integer, number, object, path, refuse, seed, string, typedArray } from "./check.ts";
import { generate } from "./generate.ts";

/** Door B over the binding: an engine on its own thread, which takes calls in order. */
export class NativeSession implements TrainSession {
  readonly info: SessionInfo;
  readonly #inner: Native.Session;
  readonly #model: ModelInfo;

  constructor(inner: Native.Session, model: ModelInfo) {
    this.#inner = inner;
    this.#model = model;
    this.info = native(() => inner.info);
  }

  async accumulate(batch: Batch, options: { objective: Objective; step: number; seed: number }): Promise<RowSums> {
    const { objective, step, seed: seedValue } = object("accumulate.options", options);
    if (object("accumulate.objective", objective).type !== "nll")
      refuse("accumulate.objective.type", '"nll"', objective.type);
    integer("accumulate.step", step, 0, Number.MAX_SAFE_INTEGER);
    seed("accumulate.seed", seedValue);
    const arrays = columns("accumulate", batch);
    return nativeAsync(() => this.#inner.accumulate(...arrays, seedValue, step));
  }

  async evaluate(batch: Batch): Promise<RowSums> {
    const arrays = columns("evaluate", batch);
    return nativeAsync(() => this.#inner.evaluate(...arrays));
  }

  async update(options: {
    learningRates: Float64Array;
    maxGradNorm: number | null;
    denominator: number;
  }): Promise<{ gradNorm: number; applied: boolean }> {
    const { learningRates, maxGradNorm, denominator } = object("update.options", options);
    typedArray("update.learningRates", learningRates, "Float64Array");
    for (const [group, rate] of learningRates.entries()) number(`update.learningRates[${group}]`, rate);
    const clip = maxGradNorm === null ? null : number("update.maxGradNorm", maxGradNorm, 0);
    number("update.denominator", denominator, 0);
    return nativeAsync(() => this.#inner.update(learningRates, clip, denominator));
  }

  generate(options: GenerateOptions): AsyncIterable<TokenEvent> {
    return generate(this.#inner, options, this.#model.eosTokenIds);
  }

  async saveCheckpoint(dir: string): Promise<void> {
    path("saveCheckpoint.dir", dir);
    return nativeAsync(() => this.#inner.saveCheckpoint(dir));
  }

  async loadCheckpoint(dir: string): Promise<void> {
    path("loadCheckpoint.dir", dir);
    return nativeAsync(() => this.#inner.loadCheckpoint(dir));
  }

  async saveAdapter(dir: string): Promise<void> {
    path("saveAdapter.dir", dir);
    return nativeAsync(() => this.#inner.saveAdapter(dir));
  }

  async loadAdapter(dir: string, name: string): Promise<AdapterState> {
    path("loadAdapter.dir", dir);
    string("loadAdapter.name", name);
    return nativeAsync(() => this.#inner.loadAdapter(name, dir));
  }

  async setAdapter(name: string): Promise<AdapterState> {
    string("setAdapter.name", name);
    return nativeAsync(() => this.#inner.setAdapter(name));
  }

  async disableAdapter(): Promise<AdapterState> {
    return nativeAsync(() => this.#inner.disableAdapter());
  }

  async enableAdapter(): Promise<AdapterState> {
    return nativeAsync(() => this.#inner.enableAdapter());
  }

  async deleteAdapter(name: string): Promise<AdapterState> {
    string("deleteAdapter.name", name);
    return nativeAsync(() => this.#inner.deleteAdapter(name));
  }

  async adapters(): Promise<AdapterState> {
    return nativeAsync(() => this.#inner.adapters());
  }

  memory(): MemoryUsage {
    return native(() => this.#inner.memory());
  }

  dispose(): void {
    native(() => this.#inner.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The arrays the engine reads; `microBatch` is for whoever makes metrics. */
function columns(place: string, batch: Batch): Parameters<Native.Session["evaluate"]> {
  const { inputIds, labels, positions, sequenceStarts, weights, rowIds } = object(`${place}.batch`, batch);
  return [
    typedArray(`${place}.batch.inputIds`, inputIds, "Int32Array"),
    typedArray(`${place}.batch.labels`, labels, "Int32Array"),
    typedArray(`${place}.batch.positions`, positions, "Int32Array"),
    typedArray(`${place}.batch.sequenceStarts`, sequenceStarts, "Int32Array"),
    weights === undefined ? null : typedArray(`${place}.batch.weights`, weights, "Float32Array"),
    typedArray(`${place}.batch.rowIds`, rowIds, "Int32Array"),
  ];
}

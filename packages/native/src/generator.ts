// The part of door B that needs no optimizer, over the binding: an engine on its own thread, which takes calls in order.
import type {
  AdapterState,
  Batch,
  GenerateOptions,
  Generator,
  MemoryUsage,
  ModelInfo,
  Objective,
  SequenceSums,
  SessionInfo,
  TokenEvent,
  TokenValueOptions,
  TokenValues,
} from "@tunesmith/core";
import { extraValues, nativeBatch, objectiveJson } from "./batch.ts";
import { type Native, native, nativeAsync } from "./binding.ts";
import { object, path, string } from "./check.ts";
import { generate } from "./generate.ts";

/** A model in memory that evaluates and generates. */
export class NativeGenerator implements Generator {
  readonly info: SessionInfo;
  protected readonly inner: Native.Session;
  protected readonly model: ModelInfo;
  /** Calls in progress. */
  readonly #calls = new Set<Promise<unknown>>();

  constructor(inner: Native.Session, model: ModelInfo) {
    this.inner = inner;
    this.model = model;
    this.info = native(() => inner.info);
  }

  async evaluate(batch: Batch, objective: Objective = { type: "nll" }): Promise<SequenceSums> {
    const [checked, json] = [nativeBatch("evaluate", batch), objectiveJson("evaluate", objective)];
    return this.call(() => this.inner.evaluate(checked, json));
  }

  async logProbs(batch: Batch, options: TokenValueOptions = {}): Promise<TokenValues> {
    const values = extraValues("logProbs", object("logProbs.options", options));
    const checked = nativeBatch("logProbs", batch);
    return this.call(() => this.inner.logProbs(checked, values));
  }

  generate(options: GenerateOptions): AsyncIterable<TokenEvent> {
    return generate(this.inner, (run) => this.call(run), options, this.model.eosTokenIds);
  }

  async loadAdapter(dir: string, name: string): Promise<AdapterState> {
    const folder = path("loadAdapter.dir", dir);
    string("loadAdapter.name", name);
    return this.call(() => this.inner.loadAdapter(folder, name));
  }

  async setAdapter(name: string): Promise<AdapterState> {
    string("setAdapter.name", name);
    return this.call(() => this.inner.setAdapter(name));
  }

  async disableAdapter(): Promise<AdapterState> {
    return this.call(() => this.inner.disableAdapter());
  }

  async enableAdapter(): Promise<AdapterState> {
    return this.call(() => this.inner.enableAdapter());
  }

  async deleteAdapter(name: string): Promise<AdapterState> {
    string("deleteAdapter.name", name);
    return this.call(() => this.inner.deleteAdapter(name));
  }

  async adapters(): Promise<AdapterState> {
    return this.call(() => this.inner.adapters());
  }

  memory(): MemoryUsage {
    return native(() => this.inner.memory());
  }

  dispose(): void {
    native(() => this.inner.dispose());
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#calls.size > 0) await Promise.allSettled(this.#calls);
    this.dispose();
  }

  /** A call of the engine, which `asyncDispose` waits for. */
  protected call<T>(run: () => Promise<T>): Promise<T> {
    const promise = nativeAsync(run);
    this.#calls.add(promise);
    const done = () => this.#calls.delete(promise);
    promise.then(done, done);
    return promise;
  }
}

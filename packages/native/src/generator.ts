// The part of door B that needs no optimizer, over the binding: an engine on its own thread, which takes calls in order.
import type {
  AdapterState,
  Batch,
  EngineOptions,
  GenerateOptions,
  Generator,
  MemoryUsage,
  ModelInfo,
  QuantizationInfo,
  SequenceSums,
  SessionInfo,
  TokenEvent,
} from "@tunesmith/core";
import { nativeBatch } from "./batch.ts";
import { type Native, native, nativeAsync } from "./binding.ts";
import { path, string } from "./check.ts";
import { generate } from "./generate.ts";

/** A model in memory that evaluates and generates. */
export class NativeGenerator implements Generator {
  readonly info: SessionInfo;
  protected readonly inner: Native.Session;
  readonly #model: ModelInfo;

  constructor(inner: Native.Session, model: ModelInfo, groups: EngineOptions["parameterGroups"] = []) {
    this.inner = inner;
    this.#model = model;
    const { quantization, ...info } = native(() => inner.info);
    const counted = (kinds: readonly string[]) =>
      info.parameterGroups.reduce((sum, { name, parameters }) => sum + (kinds.includes(name) ? parameters : 0), 0);
    this.info = {
      ...info,
      parameterGroups: groups.map(({ name, parameters, rate, decay }) => ({
        name,
        parameters: counted(parameters),
        rate,
        decay,
      })),
      quantization: quantization && quantizationInfo(quantization),
    };
  }

  async evaluate(batch: Batch): Promise<SequenceSums> {
    const checked = nativeBatch("evaluate", batch);
    return nativeAsync(() => this.inner.evaluate(...checked));
  }

  generate(options: GenerateOptions): AsyncIterable<TokenEvent> {
    return generate(this.inner, options, this.#model.eosTokenIds);
  }

  async loadAdapter(dir: string, name: string): Promise<AdapterState> {
    path("loadAdapter.dir", dir);
    string("loadAdapter.name", name);
    return nativeAsync(() => this.inner.loadAdapter(name, dir));
  }

  async setAdapter(name: string): Promise<AdapterState> {
    string("setAdapter.name", name);
    return nativeAsync(() => this.inner.setAdapter(name));
  }

  async disableAdapter(): Promise<AdapterState> {
    return nativeAsync(() => this.inner.disableAdapter());
  }

  async enableAdapter(): Promise<AdapterState> {
    return nativeAsync(() => this.inner.enableAdapter());
  }

  async deleteAdapter(name: string): Promise<AdapterState> {
    string("deleteAdapter.name", name);
    return nativeAsync(() => this.inner.deleteAdapter(name));
  }

  async adapters(): Promise<AdapterState> {
    return nativeAsync(() => this.inner.adapters());
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
    this.dispose();
  }
}

function quantizationInfo(info: Native.QuantizationInfo): QuantizationInfo {
  const { quantType, blockSize, doubleQuant, ...rest } = info;
  return { ...rest, bnb4bitQuantType: quantType, bnb4bitBlocksize: blockSize, bnb4bitUseDoubleQuant: doubleQuant };
}

// The weights that a model answers with: loaded when they are first needed, and exchanged for those that have been trained.
import type { Generator, LanguageModel } from "@tunesmith/core";
import type { Saved } from "./save.ts";

/** The name of the adapter that a model was opened with, or that has been trained on it (PEFT's). */
const defaultName = "default";

/** How the weights of a model are come by. */
export interface AnsweringOptions {
  model: LanguageModel;
  /** PEFT adapter folder on top of it; null: none. */
  adapter: string | null;
  /** Told what the user should know of loading. */
  onWarning: (message: string) => void;
  /** Opens a model folder on the same device: what full fine-tuning has written. */
  open: (path: string) => Promise<LanguageModel>;
}

/** The weights that a model answers with. */
export class Answering {
  #options: AnsweringOptions;
  #generator: Promise<Generator> | null = null;
  /** What has been trained since the weights were loaded, and is not in them yet. */
  #due: Saved | null = null;
  #saved: Saved;

  constructor(options: AnsweringOptions) {
    this.#options = options;
    this.#saved = { model: options.model.info.path, adapter: options.adapter };
  }

  /** What it answers with, as files. */
  get saved(): Saved {
    return this.#saved;
  }

  /** From here on answers are those of what has been trained, which may have been with another tokenizer of the model. */
  adopt(trained: Saved, model = this.#options.model): void {
    // What the loaded weights end an answer with is that of the model they were loaded from.
    if (model !== this.#options.model) void this.dispose().catch(() => {});
    this.#options = { ...this.#options, model };
    this.#saved = trained;
    if (this.#generator !== null) this.#due = trained;
  }

  /** The weights, in memory. Adapters that were loaded by name stay, unless the whole model has been trained. */
  generator(): Promise<Generator> {
    const [before, due] = [this.#generator, this.#due];
    if (before !== null && due === null) return before;
    this.#due = null;
    const next = before === null || due === null ? this.#load() : this.#exchange(before, due);
    this.#generator = next;
    // A failed load is reported to this caller and tried again by the next.
    next.catch(() => {
      if (this.#generator === next) this.#generator = null;
    });
    return next;
  }

  /** Frees the weights once what is being written with them is written. They are loaded again when they are needed again. */
  async dispose(): Promise<void> {
    const loaded = this.#generator;
    this.#generator = null;
    this.#due = null;
    await free(loaded);
  }

  async #exchange(before: Promise<Generator>, { model, adapter }: Saved): Promise<Generator> {
    const isSameBase = model === this.#options.model.info.path;
    const loaded = isSameBase && adapter !== null ? await before.catch(() => null) : null;
    if (loaded === null || adapter === null) {
      await free(before);
      return this.#load();
    }
    try {
      const { names } = await loaded.adapters();
      if (names.includes(defaultName)) await loaded.deleteAdapter(defaultName);
      await loaded.loadAdapter(adapter, defaultName);
      await loaded.setAdapter(defaultName);
      return loaded;
    } catch (error) {
      await free(before);
      throw error;
    }
  }

  async #load(): Promise<Generator> {
    const { model, onWarning, open } = this.#options;
    const { model: path, adapter } = this.#saved;
    const base = path === model.info.path ? model : await open(path);
    const generator = await base.createGenerator({
      adapter: adapter === null ? null : { type: "saved", path: adapter },
    });
    for (const warning of [...base.info.warnings, ...generator.info.warnings]) onWarning(warning);
    return generator;
  }
}

/** Frees what has been loaded; where loading failed there is nothing to free. */
async function free(loaded: Promise<Generator> | null): Promise<void> {
  const generator = await loaded?.catch(() => null);
  await generator?.[Symbol.asyncDispose]();
}

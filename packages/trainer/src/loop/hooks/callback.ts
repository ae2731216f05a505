// Callbacks, as a program gives them and as the loop calls them.
import { type Generator, type LanguageModel, OptionError } from "@tunesmith/core";
import type { TrainEvent } from "../events.ts";
import type { Metrics } from "../metrics.ts";
import type { TrainControl } from "./control.ts";

/** What a callback is given with each event. */
export interface CallbackContext {
  model: LanguageModel;
  /** Evaluates and generates with the weights as they are now. Not to be kept: it is disposed when the run ends. */
  session: Generator;
  /** Steers the run. May be kept: a server next to the run may stop it. */
  control: TrainControl;
}

/**
 * Called with every event of a run, in order; the run waits for it. What it throws ends the run with a `CallbackError`, after a checkpoint.
 * `M` names the metrics of a recipe; a callback for any recipe leaves it out.
 */
export type CallbackFunction<M extends Metrics = Metrics> = (
  event: TrainEvent<M>,
  context: CallbackContext,
) => void | Promise<void>;

/** State of a callback in checkpoints (transformers' ExportableState). */
export interface CallbackState {
  /** What is to be kept, a JSON value; taken when a checkpoint is written, before the event `checkpoint`. */
  save(): unknown;
  /** Called before the first event of a resumed run with what `save` gave. What it throws is a `CheckpointError` that names the callback. */
  load(state: unknown): void | Promise<void>;
}

/** A callback with a name, and with state where it has some. */
export interface CallbackObject<M extends Metrics = Metrics> {
  /** In errors and warnings, and in checkpoints, where its state is found by it. Default: the name of its class, else its place in the list. */
  name?: string;
  onEvent: CallbackFunction<M>;
  /** Default: it has none. */
  state?: CallbackState;
}

/** A function, or an object with a name and state. */
export type TrainCallback<M extends Metrics = Metrics> = CallbackFunction<M> | CallbackObject<M>;

/** A callback as the loop knows it. */
export interface NamedCallback {
  /** As it is called in errors: `callback "NAME"`, or `callback N` for the Nth of the list. */
  label: string;
  /** Null where it has none. */
  name: string | null;
  onEvent: CallbackFunction;
  state: CallbackState | null;
}

/** Callbacks by their names. State without a name of its own to be found by is an `OptionError`. */
export function namedCallbacks(given: readonly TrainCallback[]): NamedCallback[] {
  const named = given.map((callback, index): NamedCallback => {
    check(callback, index);
    const name = nameOf(callback);
    const label = name === null ? `callback ${index + 1}` : `callback ${JSON.stringify(name)}`;
    if (typeof callback === "function") return { label, name, onEvent: callback, state: null };
    // Methods of a class need their object.
    const onEvent: CallbackFunction = (event, context) => callback.onEvent(event, context);
    return { label, name, onEvent, state: callback.state ?? null };
  });
  const keys = named.filter(({ state }) => state !== null).map(({ name }) => name);
  for (const [index, name] of keys.entries()) {
    if (name === null)
      throw new OptionError(
        "[callbacks] expected a name for each callback with state, by which a checkpoint finds it, got none; give it a name",
      );
    if (keys.indexOf(name) !== index)
      throw new OptionError(
        `[callbacks] expected names of their own for callbacks with state, got ${JSON.stringify(name)} twice; rename one`,
      );
  }
  return named;
}

/** From JavaScript anything may come. */
function check(given: unknown, index: number): void {
  if (typeof given === "function") return;
  const { name, onEvent, state } = (given ?? {}) as Readonly<Record<string, unknown>>;
  const place = `callbacks[${index}]`;
  if (typeof onEvent !== "function")
    throw new OptionError(
      `[${place}] expected a function, or an object with the function onEvent, got neither; give one`,
    );
  if (name !== undefined && (typeof name !== "string" || name === ""))
    throw new OptionError(`[${place}.name] expected a text, got ${String(name) || "an empty one"}; correct it`);
  const { save, load } = (state ?? {}) as Readonly<Record<string, unknown>>;
  if (state !== undefined && (typeof save !== "function" || typeof load !== "function"))
    throw new OptionError(`[${place}.state] expected the functions save and load, got others; give both`);
}

function nameOf(callback: TrainCallback): string | null {
  if (typeof callback === "function") return callback.name === "" ? null : callback.name;
  if (callback.name !== undefined) return callback.name;
  const { name } = callback.constructor;
  return name === "Object" ? null : name;
}

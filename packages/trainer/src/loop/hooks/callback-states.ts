// State of callbacks in checkpoints: taken when one is written, given back when a run goes on from it.
import { inspect, isDeepStrictEqual } from "node:util";
import { type CallbackError, CheckpointError } from "@tunesmith/core";
import * as z from "zod";
import { callHook, type HookLimits } from "./call-hook.ts";
import type { NamedCallback } from "./callback.ts";

/** States by the names of their callbacks: `callbacks_state.json`. */
export type CallbackStates = Readonly<Record<string, unknown>>;

/** {@link CallbackStates} as they are read back. */
export const callbackStatesSchema: z.ZodType<CallbackStates> = z.record(z.string(), z.json());

/**
 * What callbacks want to be kept; undefined where none has state. What `save` throws, and a value that JSON would change, is a
 * `CallbackError` that names the callback.
 *
 * @param onFailure given such an error, and the checkpoint is written without that state. Default: it is thrown
 */
export async function saveStates(
  callbacks: readonly NamedCallback[],
  limits: HookLimits,
  onFailure?: (error: CallbackError) => void,
): Promise<CallbackStates | undefined> {
  const states: Record<string, unknown> = {};
  for (const { label, name, state } of callbacks) {
    if (name === null || state === null) continue;
    const hook = { label, expected: "its state as a JSON value", kind: "callback" } as const;
    try {
      states[name] = await callHook(hook, limits, async () => copied(await state.save()));
    } catch (error) {
      if (onFailure === undefined) throw error;
      onFailure(error as CallbackError);
    }
  }
  return callbacks.some(({ state }) => state !== null) ? states : undefined;
}

/** A copy, which is what the callback will be given back. */
function copied(value: unknown): unknown {
  const text: string | undefined = JSON.stringify(value);
  const copy: unknown = text === undefined ? undefined : JSON.parse(text);
  if (text !== undefined && isDeepStrictEqual(copy, value)) return copy;
  const got = `${inspect(value, { depth: 3, breakLength: Number.POSITIVE_INFINITY }).slice(0, 200)}, which JSON writes as ${text?.slice(0, 200)}`;
  throw new TypeError(`${got}; give plain objects, lists, texts, finite numbers, true, false and null`);
}

/**
 * Gives each callback the state that a checkpoint has of it. What it refuses is a `CheckpointError` that names it; state that no callback
 * takes, and callbacks of which there is none, are told.
 *
 * @param path of the checkpoint
 * @returns what the user should know
 */
export async function loadStates(
  callbacks: readonly NamedCallback[],
  { path, states = {} }: { path: string; states: CallbackStates | undefined },
  limits: HookLimits,
): Promise<string[]> {
  const stateful = callbacks.filter(({ state }) => state !== null);
  const warnings: string[] = [];
  for (const { label, name, state } of stateful) {
    if (name === null || state === null) continue;
    if (!Object.hasOwn(states, name)) {
      warnings.push(`${label} has state, but ${path} holds none of it: it begins from the start`);
      continue;
    }
    const hook = { label, expected: "to take its state of a checkpoint", kind: "callback" } as const;
    await callHook(hook, limits, () => state.load(states[name])).catch((cause: Error) => {
      const { message } = cause.cause instanceof Error ? cause.cause : cause;
      throw new CheckpointError(
        `[${path}] expected a state that ${label} takes, got: ${message}; give the callback that wrote it, or start a new run`,
        { cause },
      );
    });
  }
  for (const name of Object.keys(states))
    if (!stateful.some((callback) => callback.name === name))
      warnings.push(
        `${path} holds the state of the callback ${JSON.stringify(name)}, which is not given with state now: the run goes on without it`,
      );
  return warnings;
}

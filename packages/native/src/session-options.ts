// The options of a session, checked and in the form the binding takes.
import type { LoraOptions, OptimizerOptions, SessionOptions } from "@tunesmith/core";
import type { Native } from "./binding.ts";
import { array, boolean, integer, number, object, path, refuse, seed, string } from "./check.ts";

/** No linear layer of any model is wider, and a product of factors has no higher rank than its matrix. */
const maxRank = 16_384;

/** What the binding takes for a session, checked. */
export function sessionOptions(
  options: SessionOptions,
): Omit<Native.SessionOptions, "device" | "threads" | "dtype" | "quantization"> {
  const { adapter, optimizer, gradientCheckpointing, seed: seedValue } = object("createSession.options", options);
  return {
    ...adapterOptions(adapter),
    ...(optimizer === null ? {} : { optimizer: optimizerOptions(optimizer) }),
    gradientCheckpointing: boolean("createSession.gradientCheckpointing", gradientCheckpointing),
    seed: seed("createSession.seed", seedValue),
  };
}

function adapterOptions(adapter: SessionOptions["adapter"]): Pick<Native.SessionOptions, "lora" | "adapterPath"> {
  if (adapter === null) return {};
  object("createSession.adapter", adapter);
  if ("path" in adapter) return { adapterPath: path("createSession.adapter.path", adapter.path) };
  return { lora: loraOptions(adapter) };
}

function loraOptions({ r, loraAlpha, targetModules, useRslora }: LoraOptions): Native.Lora {
  const place = "createSession.adapter";
  return {
    r: integer(`${place}.r`, r, 1, maxRank),
    loraAlpha: number(`${place}.loraAlpha`, loraAlpha),
    useRslora: boolean(`${place}.useRslora`, useRslora),
    ...(targetModules === "all-linear" ? {} : { targetModules: modules(`${place}.targetModules`, targetModules) }),
  };
}

function modules(place: string, value: readonly string[]): string[] {
  const names = array(place, value).map((name, n) => string(`${place}[${n}]`, name));
  return names.length > 0 ? names : refuse(place, '"all-linear" or at least one module name', "none");
}

function optimizerOptions(options: OptimizerOptions): Native.AdamW {
  const place = "createSession.optimizer";
  const { adamBeta1, adamBeta2, adamEpsilon, weightDecay } = object(place, options);
  return {
    adamBeta1: beta(`${place}.adamBeta1`, adamBeta1),
    adamBeta2: beta(`${place}.adamBeta2`, adamBeta2),
    adamEpsilon: number(`${place}.adamEpsilon`, adamEpsilon, 0),
    weightDecay: number(`${place}.weightDecay`, weightDecay, 0),
  };
}

/** A decay rate: 1 would divide by zero in the bias correction. */
function beta(place: string, value: number): number {
  return number(place, value, 0) < 1 ? value : refuse(place, "a number from 0 to below 1", value);
}

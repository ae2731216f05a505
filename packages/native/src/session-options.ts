// The options of a session, checked and in the form the binding takes.
import type { LoraOptions, OptimizerOptions, SessionOptions } from "@tunesmith/core";
import type { Native } from "./binding.ts";
import { array, boolean, integer, number, object, path, refuse, seed, string } from "./check.ts";

/** No linear layer of any model is wider, and a product of factors has no higher rank than its matrix. */
const maxRank = 16_384;
/** Far above any model. */
const maxLayers = 65_535;

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

function loraOptions(options: LoraOptions): Native.Lora {
  const at = (name: string) => `createSession.adapter.${name}`;
  const { r, loraAlpha, loraDropout = 0, useRslora, useDora = false, initLoraWeights = true } = options;
  const { targetModules, excludeModules = null, modulesToSave = null, layersPattern = null } = options;
  const { rankPattern = {}, alphaPattern = {}, layersToTransform = null } = options;
  const dropout = number(at("loraDropout"), loraDropout, 0);
  if (dropout >= 1) refuse(at("loraDropout"), "a number from 0 to below 1", dropout);
  if (initLoraWeights !== "gaussian") boolean(at("initLoraWeights"), initLoraWeights);
  return {
    r: integer(at("r"), r, 1, maxRank),
    loraAlpha: number(at("loraAlpha"), loraAlpha),
    loraDropout: dropout,
    useRslora: boolean(at("useRslora"), useRslora),
    useDora: boolean(at("useDora"), useDora),
    ...(targetModules === "all-linear" ? {} : targets(at("targetModules"), targetModules)),
    ...(excludeModules === null ? {} : excluded(at("excludeModules"), excludeModules)),
    modulesToSave: modulesToSave === null ? [] : modules(at("modulesToSave"), modulesToSave),
    rankPattern: patterns(at("rankPattern"), rankPattern, (place, value) => integer(place, value, 1, maxRank)),
    alphaPattern: patterns(at("alphaPattern"), alphaPattern, number),
    ...(layersToTransform === null
      ? {}
      : { layersToTransform: layerIndices(at("layersToTransform"), layersToTransform) }),
    layersPattern: layersPattern === null ? [] : modules(at("layersPattern"), layersPattern),
    initLoraWeights: String(initLoraWeights),
  };
}

function targets(place: string, value: string | readonly string[]): Partial<Native.Lora> {
  return typeof value === "string"
    ? { targetPattern: string(place, value) }
    : { targetModules: modules(place, value, '"all-linear", a regular expression or at least one module name') };
}

function excluded(place: string, value: string | readonly string[]): Partial<Native.Lora> {
  return typeof value === "string" ? { excludePattern: value } : { excludeModules: modules(place, value) };
}

function modules(place: string, value: readonly string[], expected = "at least one module name"): string[] {
  const names = array(place, value).map((name, n) => string(`${place}[${n}]`, name));
  return names.length > 0 ? names : refuse(place, expected, "none");
}

function layerIndices(place: string, value: readonly number[]): number[] {
  const layers = array(place, value).map((layer, n) => integer(`${place}[${n}]`, layer, 0, maxLayers));
  return layers.length > 0 ? layers : refuse(place, "at least one layer", "none");
}

function patterns(
  place: string,
  value: Readonly<Record<string, number>>,
  check: (place: string, value: number) => number,
): Native.PatternValue[] {
  return Object.entries(object(place, value)).map(([pattern, of]) => ({
    pattern,
    value: check(`${place}.${pattern}`, of),
  }));
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

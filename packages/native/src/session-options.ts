// What the engine is told of a session, in the form the binding takes.
import { type EngineOptions, type LoraOptions, OptionError, type ParameterKind, parameterKinds } from "@tunesmith/core";
import type { Native } from "./binding.ts";

/** The options of a session but where it computes. */
export function nativeOptions(options: EngineOptions): Omit<Native.SessionOptions, "device" | "threads"> {
  const { weights, adapter, optimizer, parameterGroups, gradientCheckpointing, seed } = options;
  const { dtype, loadIn4bit, bnb4bitBlocksize: blockSize, bnb4bitUseDoubleQuant: doubleQuant, cacheDir } = weights;
  const quantization = { blockSize, doubleQuant, ...(cacheDir === null ? {} : { cacheDir }) };
  return {
    dtype,
    ...(loadIn4bit ? { quantization } : {}),
    ...(adapter?.type === "saved" ? { adapterPath: adapter.path } : {}),
    ...(adapter?.type === "lora" ? { lora: nativeLora(adapter) } : {}),
    ...(optimizer === null ? {} : { optimizer: nativeOptimizer(optimizer, parameterGroups) }),
    gradientCheckpointing,
    seed,
  };
}

function nativeLora({ type: _, ...lora }: Required<LoraOptions>): Native.Lora {
  const { targetModules, excludeModules, rankPattern, alphaPattern, layersToTransform, ...rest } = lora;
  const entries = (values: Record<string, number> = {}) =>
    Object.entries(values).map(([pattern, value]) => ({ pattern, value }));
  return {
    r: rest.r ?? 16,
    loraAlpha: rest.loraAlpha ?? 16,
    loraDropout: rest.loraDropout ?? 0,
    useRslora: rest.useRslora ?? false,
    useDora: rest.useDora ?? false,
    modulesToSave: rest.modulesToSave ?? [],
    layersPattern: rest.layersPattern ?? [],
    initLoraWeights: String(rest.initLoraWeights),
    rankPattern: entries(rankPattern),
    alphaPattern: entries(alphaPattern),
    ...(typeof targetModules === "string" && targetModules !== "all-linear" ? { targetPattern: targetModules } : {}),
    ...(typeof targetModules === "object" ? { targetModules } : {}),
    ...(typeof excludeModules === "string" ? { excludePattern: excludeModules } : {}),
    ...(typeof excludeModules === "object" && excludeModules !== null ? { excludeModules } : {}),
    ...(layersToTransform ? { layersToTransform } : {}),
  };
}

type Groups = EngineOptions["parameterGroups"];

/** The group of a run that one of the engine's own belongs to. */
export function groupOf(groups: Groups, kind: ParameterKind): number {
  const found = groups.findIndex(({ parameters }) => parameters.includes(kind));
  if (found >= 0) return found;
  throw new OptionError(
    `[createSession.parameterGroups] expected every kind of parameter in a group, "${kind}" is in none; add it`,
  );
}

function nativeOptimizer(optimizer: NonNullable<EngineOptions["optimizer"]>, groups: Groups): Native.AdamW {
  if (optimizer.type !== "adamw")
    throw new OptionError(`[createSession.optimizer] expected adamw, got ${optimizer.type}; choose adamw_torch`);
  const decays = parameterKinds.map((kind) => groups[groupOf(groups, kind)]?.decay ?? 0);
  const weightDecay = decays[0] ?? 0;
  return { adamBeta1: optimizer.beta1, adamBeta2: optimizer.beta2, adamEpsilon: optimizer.epsilon, weightDecay };
}

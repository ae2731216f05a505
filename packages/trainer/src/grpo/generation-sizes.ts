// How many completions are sampled at once, and how often they are trained on: what the options come to.
import { OptionError, type ParsedGRPOConfig, plural } from "@tunesmith/core";

/** Options that decide it. */
export type GenerationOptions = Pick<
  ParsedGRPOConfig,
  | "perDeviceTrainBatchSize"
  | "gradientAccumulationSteps"
  | "generationBatchSize"
  | "stepsPerGeneration"
  | "numGenerations"
  | "numIterations"
  | "autoFindBatchSize"
  | "maxTokensPerBatch"
>;

/** What they come to. */
export interface GenerationSizes {
  /** Completions of a generation. */
  generationBatchSize: number;
  /** Micro-batches that it is cut into. */
  stepsPerGeneration: number;
  /** Prompts of a generation. */
  promptsPerGeneration: number;
  numGenerations: number;
  numIterations: number;
}

/** The sizes of a generation. What does not divide is an `OptionError` with the numbers that would. */
export function generationSizes(args: GenerationOptions): GenerationSizes {
  const { perDeviceTrainBatchSize: rows, gradientAccumulationSteps, numGenerations, numIterations } = args;
  const { generationBatchSize: given, stepsPerGeneration: steps } = args;
  if (args.autoFindBatchSize)
    refuse("autoFindBatchSize", "false: generations are cut by the batch size", true, "lower perDeviceTrainBatchSize");
  if (args.maxTokensPerBatch !== null)
    refuse(
      "maxTokensPerBatch",
      "none: completions are counted before they are written",
      args.maxTokensPerBatch,
      "give perDeviceTrainBatchSize; tokenBudget bounds the tokens of a pass",
    );
  if (given !== null && steps !== null)
    refuse(
      "generationBatchSize",
      "one of generationBatchSize and stepsPerGeneration",
      `${given} and ${steps}`,
      `leave one out: stepsPerGeneration ${steps} with perDeviceTrainBatchSize ${rows} is generationBatchSize ${rows * steps}`,
    );
  if (given !== null && given % rows !== 0)
    refuse(
      "generationBatchSize",
      `a multiple of perDeviceTrainBatchSize ${rows}`,
      given,
      `give ${near(given, rows).join(" or ")}`,
    );
  const stepsPerGeneration = given === null ? (steps ?? gradientAccumulationSteps) : given / rows;
  const size = rows * stepsPerGeneration;
  if (size % numGenerations !== 0) {
    const fitting = divisors(size).filter((n) => n > 1);
    const others = fitting.length === 0 ? "" : `, or numGenerations ${fitting.join(", ")}`;
    const steps = numGenerations / gcd(rows, numGenerations);
    refuse(
      "numGenerations",
      `a divisor of the generation's ${plural(size, "completion")} (perDeviceTrainBatchSize ${rows} · stepsPerGeneration ${stepsPerGeneration})`,
      numGenerations,
      `give stepsPerGeneration ${steps} or a multiple of it${others}`,
    );
  }
  return {
    generationBatchSize: size,
    stepsPerGeneration,
    promptsPerGeneration: size / numGenerations,
    numGenerations,
    numIterations,
  };
}

/** The multiples next to a number, none of them 0. */
function near(value: number, of: number): number[] {
  return [Math.floor(value / of) * of, Math.ceil(value / of) * of].filter((multiple) => multiple > 0);
}

function divisors(value: number): number[] {
  return Array.from({ length: value }, (_, n) => n + 1).filter((n) => value % n === 0);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

function refuse(option: string, expected: string, got: unknown, advice: string): never {
  throw new OptionError(`[${option}] expected ${expected}, got ${String(got)}; ${advice}`);
}

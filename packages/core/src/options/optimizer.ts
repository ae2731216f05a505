// Optimizers: what the engine is told of them, and how the options of a run become that.
import * as z from "zod";
import { OptionError } from "../errors.ts";
import { entriesOf, type GivenConstants, parseConstants } from "./constants.ts";
import { type OptimizerName, optimizerNames } from "./optimizer-names.ts";

const decayRate = z.number().min(0).lt(1);
const factor = z.number().nonnegative();
const moments = { beta1: decayRate, beta2: decayRate };

/** AdamW (arXiv:1711.05101): decay rates of its two moments, and what is added to the root of the second. */
export const adamwSchema = z.strictObject({ type: z.literal("adamw"), ...moments, epsilon: factor });

/** The same with its moments in eight bits (arXiv:2110.02861). */
export const adamw8bitSchema = adamwSchema.extend({ type: z.literal("adamw8bit") });

/** Stochastic gradient descent as torch.optim.SGD computes it. */
export const sgdSchema = z.strictObject({
  type: z.literal("sgd"),
  /** Share of the momentum buffer that is kept; 0 keeps no buffer. */
  momentum: factor.default(0),
  /** Share of the gradient that does not enter the momentum buffer. */
  dampening: z.number().default(0),
  /** Nesterov momentum: the step looks ahead along the buffer. */
  nesterov: z.boolean().default(false),
});

/** Lion (arXiv:2302.06675): share of the average in the direction, and what is kept of the average. */
export const lionSchema = z.strictObject({ type: z.literal("lion"), ...moments });

/** The same with its average in eight bits. */
export const lion8bitSchema = lionSchema.extend({ type: z.literal("lion8bit") });

/** Schedule-free AdamW (arXiv:2405.15682) as the package schedulefree computes it. */
export const scheduleFreeSchema = z.strictObject({
  type: z.literal("schedulefree"),
  ...moments,
  epsilon: factor,
  /** Power of the number of the step in the weight of a point. */
  r: factor.default(0),
  /** Power of the largest learning rate so far in the weight of a point. */
  weightLrPower: factor.default(2),
});

/** RMSprop as torch.optim.RMSprop computes it. */
export const rmspropSchema = z.strictObject({
  type: z.literal("rmsprop"),
  /** What is kept of the second moment. */
  alpha: decayRate.default(0.99),
  /** Added to its root. */
  epsilon: factor.default(1e-8),
  /** What is kept of the momentum buffer; 0 keeps no buffer. */
  momentum: factor.default(0),
  /** The second moment is taken about the mean. */
  centered: z.boolean().default(false),
});

/** Adagrad as torch.optim.Adagrad computes it. */
export const adagradSchema = z.strictObject({
  type: z.literal("adagrad"),
  /** Added to the root of the sum of squares. */
  epsilon: factor.default(1e-10),
  /** How fast the rate falls with the number of the step. */
  lrDecay: factor.default(0),
});

/** AdEMAMix (arXiv:2409.03137) as bitsandbytes computes it. */
export const ademamixSchema = z.strictObject({
  type: z.literal("ademamix"),
  ...moments,
  /** What is kept of the slow average. */
  beta3: decayRate.default(0.9999),
  /** Weight of the slow average. */
  alpha: factor.default(5),
  epsilon: factor,
  /** Steps in which alpha rises from 0. Default null: it is whole at once. */
  tAlpha: z.int().positive().nullable().default(null),
  /** Steps in which beta3 rises from beta1. Default null: it is whole at once. */
  tBeta3: z.int().positive().nullable().default(null),
});

/** Adafactor (arXiv:1804.04235) as transformers' Trainer sets it, with the learning rate that it is given. */
export const adafactorSchema = z.strictObject({
  type: z.literal("adafactor"),
  /** Power of the number of the step in what the second moments take of a square. */
  decayRate: z.number().max(0).default(-0.8),
  /** Added to every square, and the least scale of a parameter. */
  epsilon: z.tuple([factor, factor]).default([1e-30, 1e-3]),
  /** Largest root mean square of an update. */
  clipThreshold: z.number().positive().default(1),
  /** What is kept of the first moment. Default null: there is none. */
  beta1: decayRate.nullable().default(null),
  /** Rates are multiplied with the root mean square of the parameter. */
  scaleParameter: z.boolean().default(false),
});

/** Muon (Jordan et al. 2024) as torch.optim.Muon computes it for the matrices of hidden layers, AdamW for everything else. */
export const muonSchema = z.strictObject({
  type: z.literal("muon"),
  /** What is kept of the momentum. */
  momentum: decayRate.default(0.95),
  /** The step looks ahead along the momentum. */
  nesterov: z.boolean().default(true),
  /** Coefficients of an iteration of Newton and Schulz. */
  nsCoefficients: z.tuple([z.number(), z.number(), z.number()]).default([3.4445, -4.775, 2.0315]),
  /** Number of iterations. */
  nsSteps: z.int().min(1).max(99).default(5),
  /** The least norm that a direction is divided by. */
  nsEpsilon: z.number().positive().default(1e-7),
  /** How a rate follows from the shape of a matrix. */
  adjustLrFn: z.enum(["original", "match_rms_adamw", "spectral_unclamped"]).default("original"),
  ...moments,
  epsilon: factor,
});

/** LoRA-FA (arXiv:2308.03303) as PEFT's create_lorafa_optimizer has it: A stays, B's gradient is projected. */
export const lorafaSchema = z.strictObject({
  type: z.literal("lorafa"),
  ...moments,
  /** Added to the root of the second moment. */
  epsilon: factor.default(1e-6),
});

/** The schemas of all optimizers. */
export const optimizerSchemas = [
  adamwSchema,
  adamw8bitSchema,
  sgdSchema,
  lionSchema,
  lion8bitSchema,
  scheduleFreeSchema,
  rmspropSchema,
  adagradSchema,
  ademamixSchema,
  adafactorSchema,
  muonSchema,
  lorafaSchema,
] as const;

/** An optimizer with its constants. */
export const optimizerSchema = z.discriminatedUnion("type", [...optimizerSchemas]);

/** An optimizer with its constants. */
export type OptimizerOptions = z.output<typeof optimizerSchema>;

/** The options that an optimizer comes from. */
export interface OptimizerArguments {
  optim: OptimizerName;
  optimArgs: GivenConstants;
  adamBeta1: number;
  adamBeta2: number;
  adamEpsilon: number;
}

/** The options of AdamW that an optimizer takes its constants from. */
export function adamOptionsOf(optim: OptimizerName): readonly ("adamBeta1" | "adamBeta2" | "adamEpsilon")[] {
  const found = optimizerNames[optim];
  switch ("type" in found ? found.type : null) {
    case "adamw":
    case "adamw8bit":
    case "schedulefree":
    case "ademamix":
    case "muon":
      return ["adamBeta1", "adamBeta2", "adamEpsilon"];
    case "lion":
    case "lion8bit":
    case "lorafa":
      return ["adamBeta1", "adamBeta2"];
    default:
      return [];
  }
}

/** Whether an optimizer raises its learning rates over the warm-up itself, whatever the schedule does. */
export function warmsUpItself(optim: OptimizerName): boolean {
  const found = optimizerNames[optim];
  return "type" in found && found.type === "schedulefree";
}

/** What to say of a name that another optimizer stands for here; null for one that is here itself. */
export function optimizerNote(optim: OptimizerName): string | null {
  const found = optimizerNames[optim];
  return "note" in found && found.note !== undefined ? `optim ${optim} ${found.note}` : null;
}

/**
 * The optimizer that `optim`, `optimArgs` and AdamW's own options ask for, with the constants that transformers gives it. One that is not
 * here yet is an `OptionError` that says so, and so is a constant that it does not have.
 */
export function optimizerOptions(args: OptimizerArguments): OptimizerOptions {
  const found = optimizerNames[args.optim];
  if ("notYet" in found)
    throw new OptionError(
      `[optim] expected an optimizer that is here, got "${args.optim}", which is not yet: ${found.notYet}`,
    );
  const { adamBeta1: beta1, adamBeta2: beta2, adamEpsilon: epsilon } = args;
  const given = entriesOf(args.optimArgs, "optimArgs");
  const { type } = found;
  switch (type) {
    case "adamw":
    case "adamw8bit":
      refuseConstants(args.optim, given);
      return { type, beta1, beta2, epsilon };
    case "lion":
    case "lion8bit":
      refuseConstants(args.optim, given);
      return { type, beta1, beta2 };
    case "sgd":
      return sgdOptions(given);
    case "schedulefree": {
      const own = scheduleFreeSchema.omit({ beta1: true, beta2: true, epsilon: true });
      return { beta1, beta2, epsilon, ...parseConstants(own, given, "optimArgs") };
    }
    case "rmsprop":
      return withEpsilon(rmspropSchema, given);
    case "adagrad":
      return withEpsilon(adagradSchema, given);
    case "adafactor":
      return withEpsilon(adafactorSchema, given);
    case "lorafa": {
      const { eps, ...own } = parseConstants(lorafaArguments, given, "optimArgs");
      return { ...own, beta1, beta2, epsilon: eps };
    }
    case "muon": {
      const { eps, ...own } = parseConstants(muonArguments, given, "optimArgs");
      return { ...own, nsEpsilon: eps, beta1, beta2, epsilon };
    }
    case "ademamix": {
      const { type: _, eps, ...own } = parseConstants(ademamixArguments, given, "optimArgs");
      return { ...own, type, beta1: own.beta1 ?? beta1, beta2: own.beta2 ?? beta2, epsilon: eps ?? epsilon };
    }
  }
}

/** Its two first moments and epsilon come from AdamW's options unless they are given here (transformers). */
const ademamixArguments = ademamixSchema
  .omit({ epsilon: true })
  .extend({ beta1: decayRate.optional(), beta2: decayRate.optional(), eps: factor.optional() });

/** Epsilon, which PEFT's optimizer has a default of its own for, under torch's name; the moments come from AdamW's options. */
const lorafaArguments = lorafaSchema
  .omit({ beta1: true, beta2: true, epsilon: true })
  .extend({ eps: lorafaSchema.shape.epsilon });

/** Constants of Muon under torch's names; AdamW's come from its own options. */
const muonArguments = muonSchema
  .omit({ beta1: true, beta2: true, epsilon: true, nsEpsilon: true })
  .extend({ eps: muonSchema.shape.nsEpsilon });

/** Constants under torch's names, which calls epsilon eps. */
function withEpsilon<S extends typeof rmspropSchema | typeof adagradSchema | typeof adafactorSchema>(
  schema: S,
  given: object,
): z.output<S> {
  const { epsilon, ...shape } = schema.shape;
  const { eps, ...own } = parseConstants(z.strictObject({ ...shape, eps: epsilon }), given, "optimArgs");
  return { ...own, epsilon: eps } as z.output<S>;
}

function refuseConstants(optim: OptimizerName, given: object): void {
  const [name] = Object.keys(given);
  if (name === undefined) return;
  const names = adamOptionsOf(optim)
    .join(", ")
    .replace(/, (\w+)$/u, " and $1");
  throw new OptionError(`[optimArgs] expected nothing for ${optim}, got "${name}"; ${names} are its options`);
}

function sgdOptions(given: object): OptimizerOptions {
  const options = parseConstants(sgdSchema, given, "optimArgs");
  const { momentum, dampening, nesterov } = options;
  if (nesterov && (momentum === 0 || dampening !== 0))
    throw new OptionError(
      `[optimArgs.nesterov] expected a momentum above 0 and no dampening with it, got momentum ${momentum} and dampening ${dampening}; correct them, or leave nesterov out`,
    );
  return options;
}

// Optimizers: what the engine is told of them, and how the options of a run become that.
import { z } from "zod";
import { OptionError } from "../errors.ts";
import { entriesOf, type GivenConstants, parseConstants } from "./constants.ts";
import { type OptimizerName, optimizerNames } from "./optimizer-names.ts";

const decayRate = z.number().min(0).lt(1);

/** AdamW (arXiv:1711.05101): decay rates of its two moments, and what is added to the root of the second. */
export const adamwSchema = z.strictObject({
  type: z.literal("adamw"),
  beta1: decayRate,
  beta2: decayRate,
  epsilon: z.number().nonnegative(),
});

/** Stochastic gradient descent as torch.optim.SGD computes it. */
export const sgdSchema = z.strictObject({
  type: z.literal("sgd"),
  /** Share of the momentum buffer that is kept; 0 keeps no buffer. */
  momentum: z.number().nonnegative().default(0),
  /** Share of the gradient that does not enter the momentum buffer. */
  dampening: z.number().default(0),
  /** Nesterov momentum: the step looks ahead along the buffer. */
  nesterov: z.boolean().default(false),
});

/** An optimizer with its constants. */
export const optimizerSchema = z.discriminatedUnion("type", [adamwSchema, sgdSchema]);

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
  return "type" in found && found.type === "adamw" ? ["adamBeta1", "adamBeta2", "adamEpsilon"] : [];
}

/** What to say of a name that another optimizer stands for here; null for one that is here itself. */
export function optimizerNote(optim: OptimizerName): string | null {
  const found = optimizerNames[optim];
  return "note" in found && found.note !== undefined ? `optim ${optim} ${found.note}` : null;
}

/**
 * The optimizer that `optim`, `optimArgs` and AdamW's own options ask for, with the constants that transformers gives it; defaults of sgd are
 * torch's. One that is not here yet is an `OptionError` that says so, and so is a constant that it does not have.
 */
export function optimizerOptions(args: OptimizerArguments): OptimizerOptions {
  const found = optimizerNames[args.optim];
  if ("notYet" in found)
    throw new OptionError(
      `[optim] expected an optimizer that is here, got "${args.optim}", which is not yet: ${found.notYet}`,
    );
  const given = entriesOf(args.optimArgs, "optimArgs");
  switch (found.type) {
    case "adamw": {
      const [name] = Object.keys(given);
      if (name !== undefined)
        throw new OptionError(
          `[optimArgs] expected nothing for ${args.optim}, got "${name}"; adamBeta1, adamBeta2 and adamEpsilon are its options`,
        );
      return { type: "adamw", beta1: args.adamBeta1, beta2: args.adamBeta2, epsilon: args.adamEpsilon };
    }
    case "sgd":
      return sgdOptions(given);
  }
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

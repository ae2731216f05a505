// An order of one's own, checked.
import { OptionError, slices } from "@tunesmith/core";
import { isMeasured, type Measured, type MeasuredDifficulty, measuredDifficulties } from "./measured.ts";
import type { SamplerContext } from "./rows.ts";
import type { Sampler, SamplerPart } from "./sampler.ts";

/** The order of rows in each epoch, as a program gives it. Both functions give the same whenever they are asked, so that a run can be resumed. */
export interface CustomSampler {
  /** Rows in an epoch, whatever is measured. */
  size(epoch: number): number;
  /**
   * Indices of rows in an epoch, from 0: `size(epoch)` of them, or a promise of them. A row may be left out, or come more than once.
   *
   * @param measured how hard the model finds the rows, where `measures` asks for it
   */
  epoch(epoch: number, measured?: Measured): ArrayLike<number> | Promise<ArrayLike<number>>;
  /** What the model is asked of every row, before the first step and every `difficultySteps`. Default: nothing. */
  readonly measures?: MeasuredDifficulty | undefined;
  /** What the user should know before training. Default: nothing. */
  readonly warnings?: readonly string[] | undefined;
  /** Parts that the epochs fall into: one that the run does not come to is warned of. Default: none. */
  readonly parts?: readonly SamplerPart[] | undefined;
}

/** Makes the order of a run's rows. */
export type SamplerFactory = (context: SamplerContext) => CustomSampler | Promise<CustomSampler>;

/** The sampler of a program. What is no order of the rows is an `OptionError` once it is asked for. */
export async function customSampler(factory: SamplerFactory, context: SamplerContext): Promise<Sampler> {
  const given = await factory(context);
  if (typeof given?.size !== "function" || typeof given.epoch !== "function")
    throw new OptionError(
      "[sampler] expected { size, epoch }, got something else; return an object with both functions",
    );
  const { measures } = given;
  if (measures !== undefined && !isMeasured(measures))
    throw new OptionError(
      `[sampler] expected one of ${measuredDifficulties.join(", ")} as measures, got ${String(measures)}; correct it`,
    );
  const rows = context.lengths.length;
  const size = (epoch: number) => {
    const count = given.size(epoch);
    if (Number.isSafeInteger(count) && count > 0) return count;
    throw new OptionError(`[sampler] expected a number of rows in epoch ${epoch}, got ${count}; return at least 1`);
  };
  const epoch = async (number: number, measured?: Measured) => {
    const order = await given.epoch(number, measured);
    const expected = size(number);
    if (order?.length !== expected)
      throw new OptionError(
        `[sampler] expected the ${expected} indices of epoch ${number} that size promises, got ${order?.length ?? String(order)}; make both agree`,
      );
    const checked = new Int32Array(expected);
    await slices.each(expected, (from, to) => {
      for (let n = from; n < to; n += 1) checked[n] = indexOf(order[n], rows, number);
    });
    return checked;
  };
  return { size, epoch, measures, warnings: given.warnings ?? [], parts: given.parts };
}

/** The index of a row. */
function indexOf(given: number | undefined, rows: number, epoch: number): number {
  if (given !== undefined && Number.isInteger(given) && given >= 0 && given < rows) return given;
  throw new OptionError(
    `[sampler] expected indices below ${rows} in epoch ${epoch}, got ${given}; give row numbers from 0`,
  );
}

// Loss weights as rows give them: of the row, of a message, of each token.
import { asNumber } from "@tunesmith/core";
import { isFilled, RowError, shown } from "./format.ts";

/** Column of a row's own loss weight, which any format may have. */
export const weightColumn = "weight";

/** The largest float32, in which weights are computed. */
const largest = 3.4028234663852886e38;

/** The loss weight of a row; null where it has none. Tables without numbers hold it as text. */
export function rowWeight({ [weightColumn]: value }: Readonly<Record<string, unknown>>): number | null {
  if (!isFilled(value)) return null;
  const isNumber = typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value));
  return readWeight(isNumber ? Number(value) : value, `column "${weightColumn}"`);
}

/**
 * A loss weight: a number from 0, however it is written; null where a row has none, or a table writer gave null.
 *
 * @param place where it stands, for errors
 */
export function readWeight(value: unknown, place: string): number | null {
  if (value === undefined || value === null) return null;
  const weight = asNumber(value);
  if (weight !== null && weight >= 0 && weight <= largest) return weight;
  const got = weight === null ? shown(value) : String(value);
  throw new RowError(`expected a loss weight from 0 in ${place}, got ${got}; correct it or leave it out`);
}

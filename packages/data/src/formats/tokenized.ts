// Rows that were tokenised elsewhere: a column `input_ids`.
import { asNumber } from "@tunesmith/core";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { tokenizedKind } from "../encode/tokenized.ts";
import { describe, entriesOf, type Format, isFilled, listOrText, RowError } from "./format.ts";
import { readWeight } from "./weights.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Masks that leave tokens out of the loss (TRL's names). */
const lossMasks = ["completion_mask", "assistant_masks"];

/** The largest id that fits the 32 bits of one. */
const maxId = 2 ** 31 - 1;

/**
 * Token ids in a column `input_ids`, trained as `labels` say (the id itself or the ignored label, not shifted), or as the masks
 * `completion_mask` and `assistant_masks` do; all of them without any of these. `weights` are the loss weights of the tokens. Padding that `attention_mask` marks is taken off.
 */
export const tokenized: Format = {
  name: "tokenized",
  columns: () => ["input_ids"],
  optionalColumns: ["labels", "attention_mask", ...lossMasks, "weights", "position_ids", "seq_lengths"],
  read({ fields }) {
    const ids = integers(fields, "input_ids", 0) ?? [];
    if (ids.length === 0) throw new RowError('expected token ids in column "input_ids", got none; remove the row');
    const [start, end] = unpadded(fields, ids.length);
    refusePacked(fields, start, end);
    const trained = ids.map(() => true);
    const labels = column(fields, "labels", ids.length, Number.MIN_SAFE_INTEGER);
    for (const [t, label] of (labels ?? []).entries()) trained[t] = isLabel(label, ids[t] as number, t);
    for (const name of lossMasks)
      for (const [t, bit] of (mask(fields, name, ids.length) ?? []).entries()) trained[t] &&= bit === 1;
    const own = weights(fields, ids.length);
    const all = trained.map((isTrained, t) => (isTrained ? (own?.[t] ?? 1) : null));
    return {
      kind: tokenizedKind,
      value: { ids: Int32Array.from(ids.slice(start, end)), weights: all.slice(start, end) },
    };
  },
};

/** Whether a label asks for its token to be trained. A label is of the token in its own place. */
function isLabel(label: number, id: number, t: number): boolean {
  if (label === IGNORE_INDEX || label === id) return label === id;
  throw new RowError(
    `expected the id ${id} of input_ids[${t}] or ${IGNORE_INDEX} in labels[${t}], got ${label}; labels are not shifted: give each token its own`,
  );
}

/** A column of integers; null where a row has none. */
function integers(fields: Fields, name: string, least: number): number[] | null {
  if (!isFilled(fields[name])) return null;
  const value = listOrText(fields[name], name);
  if (!Array.isArray(value))
    throw new RowError(`expected a list of integers in column "${name}", got ${describe(value)}; write it as one`);
  return entriesOf(value, (entry, t) => {
    const number = asNumber(entry);
    if (number !== null && Number.isInteger(number) && number >= least && number <= maxId) return number;
    const got = number === null ? describe(entry) : String(entry);
    const range = least === 0 ? `of 0 to ${maxId} ` : "";
    throw new RowError(`expected an integer ${range}in ${name}[${t}], got ${got}; correct it`);
  });
}

/** The same, of as many as there are ids. */
function column(fields: Fields, name: string, length: number, least: number): number[] | null {
  const values = integers(fields, name, least);
  if (values !== null) requireLength(values, name, length);
  return values;
}

function requireLength(values: readonly unknown[], name: string, length: number): void {
  if (values.length === length) return;
  throw new RowError(
    `expected ${length} entries in column "${name}", as many as in "input_ids", got ${values.length}; correct it`,
  );
}

/** Loss weight of each token; null where a row has none. */
function weights(fields: Fields, length: number): (number | null)[] | null {
  if (!isFilled(fields.weights)) return null;
  const value = listOrText(fields.weights, "weights");
  if (!Array.isArray(value))
    throw new RowError(`expected a list of numbers in column "weights", got ${describe(value)}; write it as one`);
  requireLength(value, "weights", length);
  return entriesOf(value, (entry, t) => readWeight(entry, `weights[${t}]`));
}

function mask(fields: Fields, name: string, length: number): number[] | null {
  const bits = column(fields, name, length, 0);
  const wrong = bits?.findIndex((bit) => bit > 1) ?? -1;
  if (wrong === -1) return bits;
  throw new RowError(`expected 0 or 1 in ${name}[${wrong}], got ${bits?.[wrong]}; correct it`);
}

/** First token, and the one after the last, without padding. */
function unpadded(fields: Fields, length: number): [start: number, end: number] {
  const bits = mask(fields, "attention_mask", length);
  if (bits === null) return [0, length];
  const [start, end] = [bits.indexOf(1), bits.lastIndexOf(1) + 1];
  if (start === -1)
    throw new RowError('expected a token that is no padding, got only 0 in "attention_mask"; remove the row');
  const hole = bits.indexOf(0, start);
  if (hole !== -1 && hole < end)
    throw new RowError(
      `expected padding at the ends only, got 0 in attention_mask[${hole}] between two tokens; take it out`,
    );
  return [start, end];
}

/** In a row of several documents each would attend to those before it. */
function refusePacked(fields: Fields, start: number, end: number): void {
  const advice = "give each document as a row of its own; packing joins them again";
  const lengths = integers(fields, "seq_lengths", 0);
  if (lengths !== null && lengths.length > 1)
    throw new RowError(`expected one document a row, got ${lengths.length} in "seq_lengths"; ${advice}`);
  const positions = integers(fields, "position_ids", 0)?.slice(start, end) ?? [];
  const wrong = positions.findIndex((position, t) => position !== (positions[0] as number) + t);
  if (wrong !== -1)
    throw new RowError(
      `expected positions that go up by one, got ${positions[wrong]} in position_ids[${start + wrong}]; ${advice}`,
    );
}

// Asks a program's own objective about a micro-batch, and checks what it gives back.
import { CallbackError } from "@tunesmith/core";
import { callHook } from "../loop/hooks/call-hook.ts";
import type { SequenceDerivatives, SequenceValues } from "../two-phase/sequence-values.ts";
import type { LossBatch, LossResult, LossRow, OwnLoss, ReferenceLossRow } from "./compute-loss.ts";

/** Where a micro-batch belongs. */
export interface LossPlace {
  /** From 1; null in an evaluation. */
  step: number | null;
  microBatch: number;
  /** `source:line` of a row. */
  locate(rowId: number): string;
}

/** What a micro-batch came to, checked. */
export interface CheckedLoss {
  loss: number;
  denominator: number;
  derivatives: SequenceDerivatives[];
}

/** Rows that an error names. */
const mostNamed = 8;

/** What the function gives for a micro-batch; what cannot be used is a `CallbackError` that names micro-batch and rows. */
export async function checkedLoss(
  { compute, timeout }: OwnLoss,
  sequences: readonly SequenceValues[],
  place: LossPlace,
): Promise<CheckedLoss> {
  const rows = sequences.map((sequence) => rowOf(sequence, place));
  const batch: LossBatch<ReferenceLossRow> = { rows, step: place.step, microBatch: place.microBatch };
  const hook = { label: "computeLossFunc", where: whereOf(batch), expected: "no error", kind: "function" } as const;
  // It computes on the thread: holding it is what it is for.
  const given = await callHook<LossResult>(hook, { timeout, onHeld: () => {} }, () => compute(batch));
  const problem = problemOf(given, rows, place.step !== null);
  if (problem !== null) throw new CallbackError(`[${hook.label}] ${hook.where}: ${problem}; fix the function`);
  const { loss, denominator, logProbGradients, entropyGradients } = given;
  const derivatives =
    place.step === null ? [] : logProbGradients.map((logProbs, n) => ({ logProbs, entropies: entropyGradients?.[n] }));
  return { loss, denominator, derivatives };
}

function rowOf({ placed, ids, ...values }: SequenceValues, { locate }: LossPlace): ReferenceLossRow {
  const { positions, logProbs, entropies, weights, referenceLogProbs } = values;
  const { rowId } = placed.example;
  const row: LossRow = { rowId, place: locate(rowId), ids, positions, logProbs, entropies, weights };
  // A function that asked for no reference is not given one.
  return referenceLogProbs === null ? (row as ReferenceLossRow) : { ...row, referenceLogProbs };
}

/** `micro-batch 1 of step 3 (rows 4 at train.jsonl:5, …)`. */
function whereOf({ rows, step, microBatch }: LossBatch): string {
  const where = step === null ? `batch ${microBatch} of an evaluation` : `micro-batch ${microBatch} of step ${step}`;
  const list = rows.slice(0, mostNamed).map(({ rowId, place }) => `${rowId} at ${place}`);
  return `${where} (rows ${list.join(", ")}${rows.length > mostNamed ? ", …" : ""})`;
}

/** What is wrong with what was given; null where nothing is. */
function problemOf(given: LossResult, rows: readonly LossRow[], isTraining: boolean): string | null {
  const isObject = typeof given === "object" && given !== null;
  const { loss, denominator, logProbGradients, entropyGradients } = (isObject ? given : {}) as Partial<LossResult>;
  if (!isNumber(loss)) return `expected a finite number as loss, got ${shown(loss)}`;
  if (!isNumber(denominator) || denominator < 0)
    return `expected a number from 0 as denominator, got ${shown(denominator)}`;
  if (denominator === 0 && loss !== 0) return `expected a denominator above 0 for the loss ${loss}, got 0`;
  if (!isTraining) return null;
  const counts = rows.map(({ logProbs }) => logProbs.length);
  return (
    listProblem("logProbGradients", logProbGradients, counts) ??
    (entropyGradients === undefined ? null : listProblem("entropyGradients", entropyGradients, counts)) ??
    (denominator === 0 && [logProbGradients, entropyGradients].flatMap((list) => list ?? []).some(hasGradient)
      ? "expected a denominator above 0 for derivatives other than 0, got 0"
      : null)
  );
}

function listProblem(name: string, given: unknown, counts: readonly number[]): string | null {
  if (!Array.isArray(given) || given.length !== counts.length)
    return `expected ${counts.length} lists as ${name}, one per row, got ${Array.isArray(given) ? given.length : shown(given)}`;
  for (const [row, count] of counts.entries()) {
    const list: unknown = given[row];
    const isList = Array.isArray(list) || (ArrayBuffer.isView(list) && "length" in list);
    if (!isList) return `expected numbers as ${name}[${row}], got ${shown(list)}`;
    const numbers = list as ArrayLike<unknown>;
    if (numbers.length !== count)
      return `expected ${count} numbers as ${name}[${row}], one per supervised token, got ${numbers.length}`;
    for (let n = 0; n < count; n += 1)
      if (!isNumber(numbers[n])) return `expected a finite number as ${name}[${row}][${n}], got ${shown(numbers[n])}`;
  }
  return null;
}

function hasGradient(list: ArrayLike<number>): boolean {
  return Array.from(list).some((value) => value !== 0);
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : Array.isArray(value) ? "a list" : String(value);
}

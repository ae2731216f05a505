// What the status line says while rows are prepared, and while the model is asked of them.
import type { MeasuringEvent, PreparingEvent } from "@tunesmith/sdk";
import { plural } from "./format.ts";

const names = { train: "training rows", eval: "evaluation rows" } as const;

/** Cells of the bar. */
const cells = 24;

/** `preparing training rows  ██████░░░░  25 %  12000 rows`; without a bar where it is not known how many there are. */
export function preparingLine({ dataset, rows, share, reference }: PreparingEvent): string {
  const what = reference === undefined ? "preparing" : "asking the reference of";
  return lineOf(`${what} ${names[dataset]}`, rows, share);
}

/** `reference  12000 training rows, known from an earlier run`; null while the reference is still asked. */
export function referenceLine({ dataset, rows, share, reference }: PreparingEvent): string | null {
  if (reference === undefined || share !== 1) return null;
  const from = reference.fromCache ? "known from an earlier run" : "computed before the first step";
  return `reference  ${plural(rows, names[dataset].replace(/s$/u, ""))}, ${from}`;
}

/** `measuring the loss of training rows  ██████░░░░  25 %  12000 rows` */
export function measuringLine({ difficulty, rows, share }: MeasuringEvent): string {
  return lineOf(`measuring the ${difficulty} of ${names.train}`, rows, share);
}

function lineOf(what: string, rows: number, share: number | null): string {
  const fields = [what];
  if (share !== null) {
    const full = Math.floor(cells * share);
    fields.push(`${"█".repeat(full)}${"░".repeat(cells - full)} ${String(Math.floor(100 * share)).padStart(3)} %`);
  }
  return [...fields, plural(rows, "row")].join("  ");
}

// Rows of an audit in tokens: how long they are, how much of them is trained, whether they teach where an answer ends.
import { DataError, type LanguageModel, type ParsedSFTConfig, slices } from "@tunesmith/core";
import { IGNORE_INDEX } from "../encode/mask.ts";
import { isSpecial } from "../encode/special.ts";
import type { Example } from "../examples/example.ts";
import { type PreparedData, prepare } from "../prepare/prepare.ts";
import type { NotedRows } from "../quality/notes.ts";
import type { AuditRow } from "./audit-row.ts";

/** A row in tokens. */
export interface MeasuredRow {
  row: AuditRow;
  /** Tokens, before anything is cut. */
  tokens: number;
  /** Of these, trained. */
  trained: number;
  /** Trained within `maxLength`. */
  trainedWithin: number;
  /** Whether the last trained token is a special one. */
  ends: boolean;
}

/** Rows of an audit in tokens. */
export interface Measured {
  rows: MeasuredRow[];
  /** Tokens that a run keeps of a row. */
  maxLength: number;
  /** Control tokens that stand in texts, with the places in the list of rows, from 1. */
  controlTokens: readonly NotedRows[];
  /** Rows that the chat template refuses, and why. */
  refused: { row: AuditRow; reason: string }[];
}

/** Encodes the rows that can be used, whole. */
export async function measure(
  rows: readonly AuditRow[],
  model: LanguageModel,
  args: ParsedSFTConfig,
  signal?: AbortSignal,
): Promise<Measured> {
  const usable = rows.filter(({ problem }) => problem === null);
  const context = model.info.maxPositionEmbeddings;
  const maxLength = Math.min(args.maxLength ?? context, context);
  const none = { rows: [], maxLength, controlTokens: [], refused: [] };
  if (usable.length === 0) return none;
  let refusal = "";
  const data = await prepare(
    usable.map(({ fields }) => fields),
    model.tokenizer,
    {
      ...rowOptions(args),
      ...{ name: "rows", onBadRow: "skip", maxLength: null, truncationMode: "keep_start", keepItems: 0 },
      // What is refused is a finding, however many rows there are of it.
      templateWorks: true,
      ...(signal && { signal }),
    },
  ).catch((cause: unknown) => {
    if (!(cause instanceof DataError)) throw cause;
    refusal = cause.message.replace("[data] ", "");
    return null;
  });
  // Not one row can be trained.
  if (data === null) return { ...none, refused: withReasons(usable, new Map([[usable[0], refusal]])) };
  const { controlTokens } = data.report;
  return { ...(await measuredRows(data, usable, maxLength, model)), maxLength, controlTokens };
}

function rowOptions(args: ParsedSFTConfig) {
  const { datasetFormat, columns, datasetTextField, maxRowBytes } = args;
  const { assistantOnlyLoss, completionOnlyLoss, promptLossWeight } = args;
  const { trainOnResponsesOnly, lastResponseOnly, trainOnToolCalls, trainOnReasoning } = args;
  return {
    ...{ datasetFormat, columns, datasetTextField, maxRowBytes },
    ...{ assistantOnlyLoss, completionOnlyLoss, promptLossWeight },
    ...{ trainOnResponsesOnly, lastResponseOnly, trainOnToolCalls, trainOnReasoning },
  };
}

async function measuredRows(
  data: PreparedData,
  usable: readonly AuditRow[],
  maxLength: number,
  { tokenizer }: LanguageModel,
) {
  const rows: MeasuredRow[] = [];
  const rowAt = (place: string) => usable[Number(place.slice(place.lastIndexOf(":") + 1)) - 1];
  for (let n = 0; n < data.examples.length; n += 1) {
    const example = data.examples.at(n);
    const row = rowAt(data.locate(example.rowId));
    if (row !== undefined) rows.push({ row, ...counted(example, maxLength, (id) => isSpecial(id, tokenizer)) });
    if (slices.isOver) await slices.turn();
  }
  const used = new Set(rows.map(({ row }) => row));
  for (const { line } of data.report.dropped) used.add(usable[line - 1] as AuditRow);
  const reasons = new Map(data.report.skipped.first.map(({ place, reason }) => [rowAt(place), reason]));
  const refused = withReasons(
    usable.filter((row) => !used.has(row)),
    reasons,
  );
  return { rows, refused };
}

/** Rows that are refused, each with its reason, which is known of the first ones. */
function withReasons(rows: readonly AuditRow[], reasons: ReadonlyMap<AuditRow | undefined, string>) {
  return rows.map((row) => ({ row, reason: reasons.get(row) ?? `refused as ${rows[0]?.place} is` }));
}

function counted({ ids, labels }: Example, maxLength: number, isEnd: (id: number) => boolean) {
  const trained = labels.reduce((sum, label) => sum + Number(label !== IGNORE_INDEX), 0);
  const within = labels.subarray(0, maxLength).reduce((sum, label) => sum + Number(label !== IGNORE_INDEX), 0);
  const last = labels.findLastIndex((label) => label !== IGNORE_INDEX);
  return { tokens: ids.length, trained, trainedWithin: within, ends: last >= 0 && isEnd(ids[last] as number) };
}

// Audits a data set: what in it would do harm to a training, row by row and as a whole.
import {
  type LanguageModel,
  type OptionKeys,
  parseKeys,
  parseOptions,
  type SFTConfig,
  type Similarity,
  sftConfigSchema,
} from "@tunesmith/core";
import { type DatasetSource, nameOf } from "../sources/source.ts";
import type { AuditRow } from "./audit-row.ts";
import { leakage, near } from "./checks/duplicates.ts";
import { checks } from "./checks/index.ts";
import { unusableRow } from "./checks/unusable-row.ts";
import { coverageOf } from "./coverage.ts";
import { type AuditCode, type AuditData, type AuditLimits, auditLimits, type Check, type Found } from "./finding.ts";
import { copyPaths, writeFixed } from "./fix.ts";
import { type Judge, judgeCheck } from "./judge.ts";
import { checkedLimits } from "./limits.ts";
import { type Measured, measure } from "./measured.ts";
import { type ReadForAudit, readForAudit } from "./read-rows.ts";
import { removedBy } from "./removed.ts";
import { type AuditReport, findingOf, withUnreadable } from "./report.ts";

/** How a data set is audited. */
export interface AuditOptions {
  /** The set to evaluate with: looked at for rows that both have, and for what it covers. Default: none. */
  evalDataset?: DatasetSource | null;
  /** The model to be trained: with it lengths, trained tokens and ends of answers are looked at. Default null: they are not. */
  model?: LanguageModel | null;
  /** Options of the run: how rows are read, what is trained of them, `maxLength`. Default: none set. */
  args?: SFTConfig;
  /** From where on something is a finding. Default: see {@link AuditLimits}. */
  limits?: Partial<AuditLimits>;
  /** Codes that are not looked for. Default: none. */
  ignore?: readonly AuditCode[];
  /** Scores a sample of the answers: a function, or an endpoint in OpenAI's form. Default: none. */
  judge?: Judge | null;
  /** Where a copy without the rows that do harm is written; never over what is read. Default null: nowhere. */
  fix?: string | null;
  /** Stops between two steps. */
  signal?: AbortSignal;
}

const keys: OptionKeys<AuditOptions> = {
  evalDataset: "optional",
  model: "optional",
  args: "optional",
  limits: "optional",
  ignore: "optional",
  judge: "optional",
  fix: "optional",
  signal: "optional",
};

/**
 * Looks at all rows of a data set for what would do harm to a training, and says what to do about it. Rows that training refuses are
 * findings, no errors; a file that cannot be read at all, or has no rows, throws as in training.
 */
export async function audit(
  source: DatasetSource,
  similarity: Similarity,
  options: AuditOptions = {},
): Promise<AuditReport> {
  const given = parseKeys(keys, options, "auditDataset");
  const { evalDataset = null, model = null, ignore = [], judge = null, fix = null, signal } = given;
  const args = parseOptions(sftConfigSchema, given.args ?? {});
  const limits = { ...auditLimits, ...checkedLimits(given.limits ?? {}) };
  const copy = fix === null ? null : await copyPaths(source, evalDataset, fix);
  const read = await readForAudit(source, "trainDataset", args, signal);
  const held = evalDataset === null ? null : await readForAudit(evalDataset, "evalDataset", args, signal);
  const measured = model === null ? null : await measure(read.rows, model, args, signal);
  const name = nameOf(source, "trainDataset");
  const data: AuditData = { name, rows: read.rows, evalRows: held?.rows ?? [], measured, similarity, limits };
  const judging = judge === null ? null : await judgeCheck(judge, read.rows, signal);
  const wanted = [...checks, ...(judging === null ? [] : [judging.check])].filter(({ code }) => !ignore.includes(code));
  const found: [Check, Found | null][] = [];
  for (const check of wanted) {
    signal?.throwIfAborted();
    found.push([check, await check.find(data)]);
  }
  return {
    source: name,
    formats: formatsOf(read.rows),
    rows: read.rows.length + read.unreadable.count,
    findings: findingsOf(found, read),
    coverage: await coverages(data),
    comparedAll: await comparedAll(data, wanted),
    tokens: tokensOf(measured),
    judged: judging?.scores ?? null,
    fixed: copy === null ? null : await writeFixed(copy, removed(found, read, wanted), read, signal),
  };
}

function findingsOf(found: readonly [Check, Found | null][], { unreadable }: ReadForAudit) {
  const all = found.map(([check, result]) => {
    const finding = findingOf(check, result);
    return check === unusableRow ? withUnreadable(finding, check, unreadable) : finding;
  });
  return all.filter((finding) => finding !== null);
}

/** What a cleaned copy leaves out; lines that hold no row only where they are looked for. */
function removed(found: readonly [Check, Found | null][], { badLines }: ReadForAudit, wanted: readonly Check[]) {
  return { rows: removedBy(found), badLines: wanted.includes(unusableRow) ? badLines : [] };
}

async function comparedAll(data: AuditData, wanted: readonly Check[]): Promise<boolean> {
  const searches = [near("train", data)];
  if (data.evalRows.length > 0) searches.push(near("eval", data));
  if (data.evalRows.length > 0 && wanted.includes(leakage)) searches.push(near("both", data));
  return (await Promise.all(searches)).every(({ complete }) => complete);
}

async function coverages(data: AuditData): Promise<AuditReport["coverage"]> {
  const { rows, evalRows, similarity } = data;
  const train = await coverageOf(rows, (await near("train", data)).clusters, similarity);
  if (evalRows.length === 0) return { train, eval: null };
  return { train, eval: await coverageOf(evalRows, (await near("eval", data)).clusters, similarity) };
}

function formatsOf(rows: readonly AuditRow[]): string[] {
  const counts = new Map<string, number>();
  for (const { format } of rows) if (format !== null) counts.set(format, (counts.get(format) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([format]) => format);
}

function tokensOf(measured: Measured | null): AuditReport["tokens"] {
  if (measured === null || measured.rows.length === 0) return null;
  const lengths = Int32Array.from(measured.rows, ({ tokens }) => tokens).sort();
  const sum = (values: Iterable<number>) => {
    let total = 0;
    for (const value of values) total += value;
    return total;
  };
  return {
    min: lengths[0] as number,
    median: lengths[Math.ceil(lengths.length / 2) - 1] as number,
    max: lengths.at(-1) as number,
    trainedShare: sum(measured.rows.map(({ trained }) => trained)) / sum(lengths),
  };
}

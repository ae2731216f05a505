// Audits a data set, with the engine's binding to compare texts.
import { type AuditOptions, type AuditReport, audit, type DatasetSource } from "@tunesmith/data";
import { similarity } from "@tunesmith/native";
import { withPreset } from "@tunesmith/trainer";

/**
 * Looks at all rows of a data set for what would do harm to a training: rows that cannot be used, broken turns, duplicates, leakage into
 * the evaluation, repeated phrases, one-sided coverage and more, each with the rows and the remedy. Bad rows are findings, no errors; a
 * file that cannot be read at all throws as in training.
 */
export function auditDataset(source: DatasetSource, options: AuditOptions = {}): Promise<AuditReport> {
  const args = options.args === undefined ? {} : { args: withPreset(options.args, {}, null).args };
  return audit(source, similarity, { ...options, ...args });
}

// Audits a data set, with the engine's binding to compare texts.
import { type AuditOptions, type AuditReport, audit, type DatasetSource } from "@tunesmith/data";
import { similarity } from "@tunesmith/native";

/**
 * Looks at all rows of a data set for what would do harm to a training: rows that cannot be used, broken turns, duplicates, leakage into
 * the evaluation, repeated phrases, one-sided coverage and more, each with the rows and the remedy. Bad rows are findings, no errors; a
 * file that cannot be read at all throws as in training.
 */
export function auditDataset(source: DatasetSource, options: AuditOptions = {}): Promise<AuditReport> {
  return audit(source, similarity, options);
}

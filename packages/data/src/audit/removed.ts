// Which rows a cleaned copy leaves out.
import type { AuditRow } from "./audit-row.ts";
import type { AuditCode, Check, Found } from "./finding.ts";

/**
 * The rows that a cleaned copy leaves out, each with the first code that names it. A row that is named for its likeness to others stays
 * where all of these go for what is wrong with them: else nothing would be left of it.
 */
export function removedBy(found: readonly [Check, Found | null][]): Map<AuditRow, AuditCode> {
  const noted = found.flatMap(([{ code, isRemoved }, result]) =>
    isRemoved ? (result?.rows ?? []).map(({ row, like }) => ({ code, row, like })) : [],
  );
  const faulty = new Set(noted.flatMap(({ row, like }) => (like === undefined ? [row] : [])));
  const removed = new Map<AuditRow, AuditCode>();
  for (const { code, row, like } of noted) {
    const isLast = like?.every((other) => faulty.has(other)) ?? false;
    if (!isLast && !removed.has(row)) removed.set(row, code);
  }
  return removed;
}

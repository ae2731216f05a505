// Rows that training refuses.
import type { Check } from "../finding.ts";

/** Rows of no known columns, with a part missing or of another kind, or that the chat template refuses. */
export const unusableRow: Check = {
  code: "unusable-row",
  severity: "error",
  remedy: "correct or remove these rows; training refuses them, or goes on without them under onBadRow: skip",
  isRemoved: true,
  find({ rows, measured }) {
    const unread = rows.flatMap((row) => (row.problem === null ? [] : [{ row, detail: row.problem }]));
    const refused = (measured?.refused ?? []).map(({ row, reason }) => ({ row, detail: reason }));
    return { message: "rows that cannot be used", rows: [...unread, ...refused] };
  },
};

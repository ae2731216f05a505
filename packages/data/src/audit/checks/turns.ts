// Conversations whose turns are not whole, or not in order.
import type { AuditRow, AuditTurn } from "../audit-row.ts";
import type { Check } from "../finding.ts";
import { flatMapInSlices } from "../in-slices.ts";

/** Conversations in which a question has no answer, an answer no question, or a turn says and does nothing. */
export const brokenTurns: Check = {
  code: "broken-turns",
  severity: "error",
  remedy: "complete these conversations or cut them after their last answer; one broken format teaches the next",
  isRemoved: true,
  find: async ({ rows }) => ({
    message: "conversations whose turns are not whole",
    rows: await noted(rows, brokenPart),
  }),
};

/** Conversations in which the system speaks late, or one side twice in a row. */
export const roleOrder: Check = {
  code: "role-order",
  severity: "warning",
  remedy:
    "put the system's words first and let user and assistant take turns, joining what one side says twice; many templates refuse anything else",
  isRemoved: false,
  find: async ({ rows }) => ({
    message: "conversations whose roles are out of order",
    rows: await noted(rows, disorder),
  }),
};

function noted(rows: readonly AuditRow[], look: (turns: readonly AuditTurn[]) => string | null) {
  return flatMapInSlices(rows, (row) => {
    const detail = row.turns.some(({ role }) => role === "text") ? null : look(row.turns);
    return detail === null ? [] : [{ row, detail }];
  });
}

function brokenPart(turns: readonly AuditTurn[]): string | null {
  const last = turns.at(-1);
  if (last === undefined) return null;
  if (last.role !== "assistant") return `the last turn is of the role ${JSON.stringify(last.role)}: it has no answer`;
  const nameless = turns.findIndex(({ role }) => role === "");
  if (nameless >= 0) return `turn ${nameless + 1} has no role`;
  if (!turns.some(({ role }) => role === "user")) return "there is no turn of the user";
  const silent = turns.findIndex(({ role, text, acts }) => role !== "assistant" && text.trim() === "" && !acts);
  return silent < 0 ? null : `turn ${silent + 1} (${turns[silent]?.role}) is empty`;
}

const systems: readonly string[] = ["system", "developer"];

function disorder(turns: readonly AuditTurn[]): string | null {
  const said = turns.findIndex(({ role }) => !systems.includes(role));
  const late = turns.findIndex(({ role }, n) => n > said && said >= 0 && systems.includes(role));
  if (late >= 0) return `turn ${late + 1} is the system's`;
  if (turns[said]?.role === "assistant") return "the assistant speaks first";
  const spoken = turns.filter(({ role }) => role === "user" || role === "assistant" || !systems.includes(role));
  for (const [n, turn] of spoken.entries()) {
    const next = spoken[n + 1];
    const isTwice = next?.role === turn.role && (turn.role === "user" || (turn.role === "assistant" && !turn.acts));
    if (isTwice) return `the ${turn.role} speaks twice in a row`;
  }
  return null;
}

// A generated task of known difficulty: conversations in which a total changes turn by turn.
import { philox } from "@tunesmith/curriculum";

/** A message of a row. */
type Message = { role: "system" | "user" | "assistant"; content: string };

/** One conversation: a start, then one operation a turn, each answered with the total so far. */
export interface TotalsRow {
  messages: Message[];
  /** Its difficulty: as many answers must be right, each built on the one before, until the last is. */
  operations: number;
  /** The total that the last turn of the assistant says. */
  total: number;
}

/** The hardest rows have as many operations. */
export const mostOperations = 6;

/** Totals stay between 0 and this, the first included. */
const largestTotal = 29;
const largestStep = 9;

/** Uniform whole numbers below a limit, a function of (seed, stream) alone. */
function draws(seed: number, stream: number): (limit: number) => number {
  let drawn = 0;
  return (limit) => Math.floor((philox([drawn++, stream, 0, 0], [seed, 0])[0] / 2 ** 32) * limit);
}

/**
 * As many rows of each difficulty from 1 to {@link mostOperations}, mixed; no row twice, and none of `taken`.
 *
 * @param stream rows of other streams of the same seed are other draws
 * @param taken conversations, as JSON, that must not come; those that are made are added
 */
export function runningTotals(count: number, seed: number, stream: number, taken: Set<string>): TotalsRow[] {
  const below = draws(seed, stream);
  const rows: TotalsRow[] = [];
  while (rows.length < count) {
    const row = write(1 + (rows.length % mostOperations), below);
    const text = JSON.stringify(row.messages);
    if (taken.has(text)) continue;
    taken.add(text);
    rows.push(row);
  }
  return rows;
}

function write(operations: number, below: (limit: number) => number): TotalsRow {
  let total = below(largestTotal + 1);
  const messages: Message[] = [{ role: "system", content: "Keep the total." }];
  for (let operation = 1; operation <= operations; operation += 1) {
    const start = operation === 1 ? `Start with ${total}. ` : "";
    const [up, down] = [Math.min(largestStep, largestTotal - total), Math.min(largestStep, total)];
    const drawn = below(up + down);
    const step = drawn < down ? drawn - down : drawn - down + 1;
    total += step;
    const said = step > 0 ? `Add ${step}.` : `Subtract ${-step}.`;
    messages.push({ role: "user", content: `${start}${said}` });
    messages.push({ role: "assistant", content: String(total) });
  }
  return { messages, operations, total };
}

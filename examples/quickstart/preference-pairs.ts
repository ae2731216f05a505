// Pairs of answers to the quickstart's messages: the right ticket, and one with a single mistake that a hasty reader makes.
import { conversationOf } from "./data-files.ts";
import type { Ticket, TicketRow } from "./tickets.ts";

/** A message of a chat. */
type Turn = { role: string; content: string };

/** A row of the format `preference`. */
export type PreferencePair = Record<"prompt" | "chosen" | "rejected", Turn[]>;

const categories: readonly Ticket["category"][] = ["damaged", "late", "wrong_item", "missing_part", "billing"];

/** The mistakes, one for each pair in turn. */
const mistakes: readonly ((ticket: Ticket) => Ticket)[] = [
  (ticket) => ({ ...ticket, urgent: !ticket.urgent }),
  (ticket) => ({ ...ticket, category: next(ticket.category) }),
  (ticket) => ({ ...ticket, refund: !ticket.refund }),
  (ticket) => ({ ...ticket, order_id: swapped(ticket.order_id) }),
];

/** A ticket with the n-th mistake. */
export function mistaken(ticket: Ticket, n: number): Ticket {
  return (mistakes[n % mistakes.length] as (ticket: Ticket) => Ticket)(ticket);
}

/** Pairs out of rows, in their order. */
export function pairsOf(rows: readonly TicketRow[]): PreferencePair[] {
  return rows.map((row, n) => {
    const right = conversationOf(row).messages;
    const wrong = conversationOf({ ...row, ticket: mistaken(row.ticket, n) }).messages;
    return { prompt: right.slice(0, -1), chosen: right.slice(-1), rejected: wrong.slice(-1) };
  });
}

function next(category: Ticket["category"]): Ticket["category"] {
  return categories[(categories.indexOf(category) + 1) % categories.length] as Ticket["category"];
}

/** A number with its first two different neighbours exchanged; of one whose digits are all alike the last is another. */
function swapped(digits: string): string {
  const at = [...digits].findIndex((digit, n) => n + 1 < digits.length && digit !== digits[n + 1]);
  if (at === -1) return `${digits.slice(0, -1)}${(Number(digits.at(-1)) + 1) % 10}`;
  return `${digits.slice(0, at)}${digits[at + 1]}${digits[at]}${digits.slice(at + 2)}`;
}

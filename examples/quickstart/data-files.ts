// The quickstart's data: tickets as conversations, written as JSONL files.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateTickets, type Ticket, type TicketRow } from "./tickets.ts";

/** Short, since every row carries it; with none at all the model's template would add a longer one. */
export const systemMessage = "Turn the message into a ticket.";

/** Rows of the quickstart. */
export const quickstartRows = { train: 600, heldOut: 60, seed: 3407 } as const;

/** The answer that a ticket should get. */
export function answerOf(ticket: Ticket): string {
  return JSON.stringify(ticket);
}

/** One line of a `messages` data set. */
export function conversationOf({ message, ticket }: TicketRow): { messages: { role: string; content: string }[] } {
  return {
    messages: [
      { role: "system", content: systemMessage },
      { role: "user", content: message },
      { role: "assistant", content: answerOf(ticket) },
    ],
  };
}

/** Writes `train.jsonl` and `held-out.jsonl` into a folder, which is made if needed. The same numbers always give the same bytes. */
export async function writeDataFiles(
  folder: string,
  rows: { train: number; heldOut: number; seed: number },
): Promise<{ train: string; heldOut: string; heldOutRows: TicketRow[] }> {
  const data = generateTickets(rows);
  const paths = { train: join(folder, "train.jsonl"), heldOut: join(folder, "held-out.jsonl") };
  await mkdir(folder, { recursive: true });
  await writeFile(paths.train, jsonLines(data.train));
  await writeFile(paths.heldOut, jsonLines(data.heldOut));
  return { ...paths, heldOutRows: data.heldOut };
}

function jsonLines(rows: readonly TicketRow[]): string {
  return rows.map((row) => `${JSON.stringify(conversationOf(row))}\n`).join("");
}

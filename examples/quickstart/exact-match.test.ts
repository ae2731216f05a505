import { expect, test } from "vitest";
import { answerOf } from "./data-files.ts";
import { exactShare, isExact } from "./exact-match.ts";
import { generateTickets } from "./tickets.ts";

const rows = generateTickets({ train: 0, heldOut: 4, seed: 1 }).heldOut;
const [row] = rows as [(typeof rows)[0]];

test("counts an answer only when every key and value is right and nothing else is said", () => {
  const right = answerOf(row.ticket);
  expect(isExact(right, row.ticket)).toBe(true);
  expect(isExact(right.replaceAll(":", ": "), row.ticket)).toBe(true);
  for (const wrong of [
    `Here you are: ${right}`,
    right.slice(0, -1),
    right.replace(row.ticket.order_id, "0000"),
    right.replace(`"${row.ticket.order_id}"`, row.ticket.order_id),
    right.replace("}", ',"note":""}'),
    right.replace(`"refund":${row.ticket.refund}`, `"refund":"${row.ticket.refund}"`),
    "null",
    "",
  ]) {
    expect(isExact(wrong, row.ticket)).toBe(false);
  }
});

test("gives the share of right answers", () => {
  const answers = rows.map(({ ticket }, index) => (index < 3 ? answerOf(ticket) : "no"));
  expect(exactShare(answers, rows)).toBe(0.75);
});

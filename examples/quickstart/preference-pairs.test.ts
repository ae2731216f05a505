import { expect, test } from "vitest";
import { answerOf } from "./data-files.ts";
import { mistaken, pairsOf } from "./preference-pairs.ts";
import { generateTickets } from "./tickets.ts";

const { train } = generateTickets({ train: 40, heldOut: 0, seed: 3407 });

test("a rejected answer differs from the right one in a single field, and every field but the product is mistaken in turn", () => {
  const fields = train.map(({ ticket }, n) => {
    const wrong = mistaken(ticket, n);
    const differing = Object.keys(ticket).filter(
      (key) => ticket[key as keyof typeof ticket] !== wrong[key as keyof typeof wrong],
    );
    expect(differing).toHaveLength(1);
    return differing[0];
  });
  expect(fields.slice(0, 4)).toEqual(["urgent", "category", "refund", "order_id"]);
  expect(mistaken({ ...(train[0] as (typeof train)[0]).ticket, order_id: "7777" }, 3).order_id).toBe("7778");
});

test("a pair has the message as its prompt and two answers to it", () => {
  const [pair] = pairsOf(train);
  const [row] = train;
  expect(pair?.prompt.map(({ role }) => role)).toEqual(["system", "user"]);
  expect(pair?.prompt[1]?.content).toBe(row?.message);
  expect(pair?.chosen).toEqual([{ role: "assistant", content: row && answerOf(row.ticket) }]);
  expect(pair?.rejected[0]?.content).not.toBe(pair?.chosen[0]?.content);
});

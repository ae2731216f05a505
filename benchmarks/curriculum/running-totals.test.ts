import { expect, test } from "vitest";
import { mostOperations, runningTotals, type TotalsRow } from "./running-totals.ts";

const made = (seed: number, stream = 0) => runningTotals(600, seed, stream, new Set());

/** The operations that a conversation names, and where they lead. */
function replay({ messages }: TotalsRow) {
  const said = messages.filter(({ role }) => role === "user").map(({ content }) => content);
  const steps = said.join(" ").matchAll(/(Add|Subtract) (\d+)\./gu);
  const changes = Array.from(steps, ([, verb, by]) => (verb === "Add" ? Number(by) : -Number(by)));
  const [, start] = /^Start with (\d+)\./u.exec(said[0] ?? "") ?? [];
  const totals = [Number(start)];
  for (const change of changes) totals.push((totals.at(-1) ?? 0) + change);
  return { changes, totals };
}

test("the same seed and stream give the same rows, others give others", () => {
  expect(made(7)).toEqual(made(7));
  expect(made(8)).not.toEqual(made(7));
  expect(made(7, 1)).not.toEqual(made(7));
});

test("difficulty is the number of operations that a conversation names, one a turn, and each answer is where they lead", () => {
  for (const row of made(7)) {
    const { changes, totals } = replay(row);
    expect(changes).toHaveLength(row.operations);
    expect(changes).not.toContain(0);
    expect(row.messages.map(({ role }) => role)).toEqual(["system", ...changes.flatMap(() => ["user", "assistant"])]);
    const answers = row.messages.filter(({ role }) => role === "assistant");
    expect(answers.map(({ content }) => Number(content))).toEqual(totals.slice(1));
    expect(totals.at(-1)).toBe(row.total);
    expect(Math.min(...totals)).toBeGreaterThanOrEqual(0);
  }
});

test("every difficulty has as many rows, no row comes twice, and none of those that are taken", () => {
  const taken = new Set<string>();
  const held = runningTotals(60, 7, 0, taken);
  const rows = runningTotals(600, 7, 1, taken);
  const texts = [...held, ...rows].map(({ messages }) => JSON.stringify(messages));
  expect(new Set(texts).size).toBe(660);
  for (let operations = 1; operations <= mostOperations; operations += 1)
    expect(rows.filter((row) => row.operations === operations)).toHaveLength(100);
});

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { answerOf, conversationOf, quickstartRows, writeDataFiles } from "./data-files.ts";
import { problems, products, unseenProducts } from "./phrases.ts";
import { generateTickets, type TicketRow } from "./tickets.ts";

const data = generateTickets(quickstartRows);
const all = [...data.train, ...data.heldOut];

/** Share of rows for which `test` holds. */
const share = (rows: readonly TicketRow[], test: (row: TicketRow) => boolean) => rows.filter(test).length / rows.length;

describe("generateTickets", () => {
  test("writes the same rows for the same seed and others for another", () => {
    expect(generateTickets(quickstartRows)).toEqual(data);
    expect(generateTickets({ ...quickstartRows, seed: 1 }).train[0]).not.toEqual(data.train[0]);
  });

  test("writes enough rows", () => {
    expect(data.train.length).toBeGreaterThanOrEqual(240);
    expect(data.heldOut.length).toBeGreaterThanOrEqual(60);
  });

  test("keeps the splits apart: no message, order number or wording-with-product is in both", () => {
    for (const of of [
      (row: TicketRow) => row.message.toLowerCase(),
      (row: TicketRow) => row.ticket.order_id,
      (row: TicketRow) => row.pairing,
    ]) {
      const seen = new Set(data.train.map(of));
      expect(data.heldOut.filter((row) => seen.has(of(row)))).toEqual([]);
    }
    expect(
      share(data.heldOut, (row) => (unseenProducts as readonly string[]).includes(row.ticket.product)),
    ).toBeCloseTo(1 / 3, 1);
    expect(share(data.train, (row) => (products as readonly string[]).includes(row.ticket.product))).toBe(1);
  });

  test("puts every copied fact into the message", () => {
    for (const { message, ticket } of all) {
      expect(message).toContain(ticket.product);
      expect(message).toContain(ticket.order_id);
      expect(message).not.toMatch(/[{}]/u);
    }
  });

  test("repeats no message and covers every value of every field", () => {
    expect(new Set(all.map((row) => row.message)).size).toBe(all.length);
    for (const category of Object.keys(problems))
      expect(share(data.train, (row) => row.ticket.category === category)).toBeGreaterThan(0.1);
    expect(share(data.train, (row) => row.ticket.urgent)).toBeGreaterThan(0.3);
    expect(share(data.train, (row) => row.ticket.urgent)).toBeLessThan(0.5);
    expect(share(data.train, (row) => row.ticket.refund)).toBeGreaterThan(0.35);
    expect(share(data.train, (row) => row.ticket.refund)).toBeLessThan(0.65);
  });

  test("varies wording, openings and answers so that no template can be memorised", () => {
    // First two words, whole answers and pairings of wording and product.
    expect(new Set(data.train.map((row) => row.message.split(" ").slice(0, 2).join(" "))).size).toBeGreaterThan(100);
    expect(new Set(data.train.map((row) => answerOf(row.ticket))).size).toBe(data.train.length);
    expect(new Set(data.train.map((row) => row.pairing)).size).toBeGreaterThan(data.train.length * 0.8);
  });
});

describe("writeDataFiles", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunesmith-tickets-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("writes one conversation per line, with the record as the answer", async () => {
    const paths = await writeDataFiles(join(folder, "data"), { train: 5, heldOut: 4, seed: 1 });
    const lines = (await readFile(paths.heldOut, "utf8")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(paths.heldOutRows.map(conversationOf));
    const answer = JSON.parse(lines[0] as string).messages[2];
    expect(answer.role).toBe("assistant");
    expect(Object.keys(JSON.parse(answer.content))).toEqual(["category", "product", "order_id", "urgent", "refund"]);
    expect((await readFile(paths.train, "utf8")).split("\n")).toHaveLength(6);
  });
});

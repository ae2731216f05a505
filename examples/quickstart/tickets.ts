// A seeded grammar of customers' messages and the tickets a careful reader makes of them.
import { philox } from "@tunesmith/curriculum";
import {
  asides,
  closings,
  greetings,
  names,
  orders,
  problems,
  products,
  unseenProducts,
  urgencies,
  wishes,
} from "./phrases.ts";

/** What a support desk needs to know of a message. The keys stand in this order in every answer. */
export interface Ticket {
  category: keyof typeof problems;
  product: string;
  order_id: string;
  urgent: boolean;
  refund: boolean;
}

/** A customer's message and the record that a careful reader makes of it. */
export interface TicketRow {
  message: string;
  ticket: Ticket;
  /** The problem and the product as the message puts them: what the split keeps apart. */
  pairing: string;
}

/** Training and held-out rows that share no message, no order number and no pairing of a problem's wording with a product. */
export interface TicketData {
  train: TicketRow[];
  heldOut: TicketRow[];
}

/** Uniform numbers in [0, 1), a function of (seed, stream) alone. */
function uniforms(seed: number, stream: number): () => number {
  let drawn = 0;
  return () => philox([drawn++, stream, 0, 0], [seed, 0])[0] / 2 ** 32;
}

/**
 * Writes tickets by a seeded grammar: five kinds of problems in dozens of wordings, fifty products, facts in any order,
 * greetings in several languages, asides that decide nothing, typos. Every third held-out row is about a product that no
 * training row mentions.
 */
export function generateTickets({
  train,
  heldOut,
  seed,
}: {
  train: number;
  heldOut: number;
  seed: number;
}): TicketData {
  const taken = new Set<string>();
  const rows = (count: number, stream: number, productsOf: (index: number) => readonly string[]): TicketRow[] => {
    const next = uniforms(seed, stream);
    const made: TicketRow[] = [];
    while (made.length < count) {
      const row = writeTicket(next, productsOf(made.length));
      // Order numbers differ, so messages do too.
      if (taken.has(row.ticket.order_id) || (stream === 1 && taken.has(row.pairing))) continue;
      made.push(row);
      taken.add(row.ticket.order_id).add(row.pairing);
    }
    return made;
  };
  return {
    train: rows(train, 0, () => products),
    heldOut: rows(heldOut, 1, (index) => (index % 3 === 0 ? unseenProducts : products)),
  };
}

function writeTicket(next: () => number, productNames: readonly string[]): TicketRow {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const chance = (share: number): boolean => next() < share;

  const category = pick(Object.keys(problems) as (keyof typeof problems)[]);
  const problem = pick<string>(problems[category]);
  const urgent = chance(0.4);
  const refund = chance(0.5);
  const ticket: Ticket = {
    category,
    product: pick(productNames),
    order_id: String(1000 + Math.floor(next() * 9000)),
    urgent,
    refund,
  };

  const facts = [problem, pick<string>(orders)];
  if (urgent) facts.push(pick<string>(urgencies));
  if (refund || chance(0.7)) facts.push(pick<string>(wishes[refund ? "refund" : "other"]));
  if (facts.length < 4 && chance(0.5)) facts.push(pick<string>(asides));
  shuffle(facts, next);

  const spelled = facts.map((fact) => (chance(0.04) ? misspell(fact, next) : fact));
  const greeting = chance(0.5) ? `${pick(greetings)}${pick([", ", "! ", ". "])}` : "";
  const closing = chance(0.4) ? ` ${pick(closings)}${chance(0.6) ? `, ${pick(names)}` : ""}` : "";
  const text = `${greeting}${spelled.map(sentence).join(" ")}${closing}`;
  const message = (chance(0.2) ? text.toLowerCase() : text)
    .replace("{p}", ticket.product)
    .replace("{o}", ticket.order_id);
  return { message, ticket, pairing: `${problem}|${ticket.product}` };
}

function shuffle(list: unknown[], next: () => number): void {
  for (let i = list.length - 1; i > 0; i -= 1) {
    const j = Math.floor(next() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
}

/** Swaps two inner letters of one longer word; product and order number stay as they are. */
function misspell(text: string, next: () => number): string {
  const words = text.split(" ");
  const long = words.flatMap((word, index) => (/^[a-z]{5,}$/iu.test(word) ? [index] : []));
  const index = long[Math.floor(next() * long.length)];
  if (index === undefined) return text;
  const word = words[index] as string;
  const at = 1 + Math.floor(next() * (word.length - 3));
  words[index] = `${word.slice(0, at)}${word[at + 1]}${word[at]}${word.slice(at + 2)}`;
  return words.join(" ");
}

function sentence(fact: string): string {
  const end = fact.endsWith("?") ? "" : fact.startsWith("where ") ? "?" : ".";
  return `${fact[0]?.toUpperCase()}${fact.slice(1)}${end}`;
}

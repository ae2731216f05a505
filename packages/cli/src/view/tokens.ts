// Tokens of a row for a terminal: trained, context only or weighted, special tokens visible.
import { terminalText } from "@tunesmith/core";
import type { ExplainedRow, ExplainedToken } from "@tunesmith/sdk";
import pc from "picocolors";
import { percent, plural, significant } from "./format.ts";

/** What is shown of each token besides its text. */
export interface TokenViewOptions {
  /** Its id. */
  ids: boolean;
}

/** Which tokens look alike. */
function kindOf({ weight }: ExplainedToken): "context" | "trained" | "weighted" {
  if (weight === 0) return "context";
  return weight === 1 ? "trained" : "weighted";
}

const paint = { context: pc.dim, trained: pc.green, weighted: pc.yellow } as const;

/** What the colours mean, and the brackets, which are there without colours too. */
export const tokenLegend = `${paint.trained("[trained]")} ${paint.context("context only")} ${paint.weighted("[0.5: weighted]")} ${pc.inverse("<special>")}`;

/** One row, its trained runs in brackets. */
export function tokenLines(row: ExplainedRow, options: TokenViewOptions): string {
  const runs: ExplainedToken[][] = [];
  for (const token of row.tokens) {
    const run = runs.at(-1);
    if (run?.[0]?.weight === token.weight) run.push(token);
    else runs.push([token]);
  }
  return `${pc.bold(terminalText(row.place))}  ${summary(row)}\n${runs.map((run) => runText(run, options)).join("")}\n`;
}

/** How many tokens of a row are trained, and what the model makes of them. */
export function summary({ tokens, truncated }: ExplainedRow): string {
  const trained = tokens.filter(({ weight }, t) => t > 0 && weight > 0);
  const parts = [
    `${plural(tokens.length, "token")}, ${trained.length} trained (${percent(trained.length / tokens.length)})`,
  ];
  if (truncated) parts.push("truncated");
  const weight = trained.reduce((sum, token) => sum + token.weight, 0);
  if (trained.some(({ loss }) => loss !== null)) {
    const loss = trained.reduce((sum, token) => sum + token.weight * (token.loss ?? 0), 0) / weight;
    parts.push(`loss ${significant(loss)}`);
  }
  return parts.join(", ");
}

function runText(run: readonly ExplainedToken[], options: TokenViewOptions): string {
  const [first] = run;
  if (first === undefined) return "";
  const kind = kindOf(first);
  const text = run.map((token) => tokenText(token, options)).join("");
  if (kind === "context") return paint[kind](text);
  const weight = kind === "weighted" ? `${significant(first.weight)}: ` : "";
  return paint[kind](`[${weight}${text}]`);
}

function tokenText({ id, text, special, loss }: ExplainedToken, { ids }: TokenViewOptions): string {
  const shown = terminalText(text);
  const notes = [ids ? String(id) : null, loss === null ? null : significant(loss, 3)].filter((note) => note !== null);
  const note = notes.length === 0 ? "" : `⟨${notes.join(" ")}⟩`;
  return `${special ? pc.inverse(shown) : shown}${note}`;
}

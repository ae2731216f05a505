// Tokens of rows as a page of HTML that stands alone.
import { escapeHtml, htmlPage } from "@tunesmith/core";
import type { ExplainedRow, ExplainedToken } from "@tunesmith/sdk";
import { significant } from "./format.ts";
import { summary, type TokenViewOptions } from "./tokens.ts";

const style = `body { font: 15px/1.7 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
h2 { font-size: 1rem; margin: 2rem 0 .3rem } pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.9 ui-monospace, monospace; margin: 0 }
.context { opacity: .55 } .trained { background: #2da44e40 } .weighted { background: #d4a72c55 }
.special { border: 1px solid currentColor; border-radius: 3px; padding: 0 2px } sub { opacity: .7; font-size: 10px }`;

/** A page of rows: each token coloured by its weight, its id, weight and loss where the pointer rests. */
export function tokenPage(title: string, rows: readonly ExplainedRow[], options: TokenViewOptions): string {
  const sections = rows.map(
    (row) =>
      `<h2>${escapeHtml(row.place)}</h2>\n<p>${escapeHtml(summary(row))}</p>\n<pre>${row.tokens.map((token) => span(token, options)).join("")}</pre>`,
  );
  const legend =
    '<p><span class="trained">trained</span> <span class="context">context only</span> <span class="weighted">weighted</span> <span class="special">special token</span></p>';
  return htmlPage(title, style, `${legend}\n${sections.join("\n")}`);
}

function span({ id, text, special, weight, loss }: ExplainedToken, { ids }: TokenViewOptions): string {
  const kind = weight === 0 ? "context" : weight === 1 ? "trained" : "weighted";
  const notes = [`id ${id}`, `weight ${significant(weight)}`, ...(loss === null ? [] : [`loss ${significant(loss)}`])];
  const number = ids ? `<sub>${id}</sub>` : "";
  return `<span class="${kind}${special ? " special" : ""}" title="${notes.join(", ")}">${escapeHtml(text)}</span>${number}`;
}

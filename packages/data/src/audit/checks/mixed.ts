// Rows that are of another format, or written for another template, than the rest.
import { slices } from "@tunesmith/core";
import { type AuditRow, saidIn } from "../audit-row.ts";
import type { Check, Noted } from "../finding.ts";

/** Rows of another format than most. */
export const mixedFormats: Check = {
  code: "mixed-formats",
  severity: "error",
  remedy: "bring all rows into one format, or put each format into a file of its own and mix the files",
  isRemoved: false,
  async find({ rows }) {
    const known = rows.filter(({ format }) => format !== null);
    const { message, rows: found } = await minority(known, ({ format }) => format ?? "");
    return { message: `rows of several formats: ${message}`, rows: found };
  },
};

/** How prompts are marked in text: one mark of each template, and all of them. */
const templates: readonly (readonly [string, RegExp])[] = [
  ["### Instruction:", /^###\s*(?:instruction|response|input)\b/imu],
  ["<|im_start|>", /<\|im_(?:start|end)\|>/u],
  ["[INST]", /\[\/?INST\]|<<\/?SYS>>/u],
  ["<|start_header_id|>", /<\|(?:start_header_id|end_header_id|eot_id|begin_of_text)\|>/u],
  ["<start_of_turn>", /<(?:start|end)_of_turn>/u],
  ["<|user|>", /<\|(?:user|assistant|system|end)\|>/u],
  ["USER:", /^USER:[\s\S]*\bASSISTANT:/mu],
  ["Human:", /^(?:### )?Human:[\s\S]*^(?:### )?Assistant:/mu],
  ["Question:", /^(?:Q|Question):[\s\S]*^(?:A|Answer):/mu],
];

/** Rows written with the marks of another template than most. */
export const mixedTemplates: Check = {
  code: "mixed-templates",
  severity: "warning",
  remedy:
    "write all prompts in one way, rather as messages without marks of their own, so that the chat template is the only one; mixed templates teach the wrong structure",
  isRemoved: false,
  async find({ rows }) {
    const { message, rows: found } = await minority(rows, marksOf);
    return { message: `rows written with the marks of several templates: ${message}`, rows: found };
  },
};

function marksOf(row: AuditRow): string {
  const text = saidIn(row);
  return (
    templates
      .filter(([, marks]) => marks.test(text))
      .map(([name]) => name)
      .join(" and ") || "no marks"
  );
}

/** Rows that differ from most; none where all are alike. */
async function minority(
  rows: readonly AuditRow[],
  kindOf: (row: AuditRow) => string,
): Promise<{ message: string; rows: Noted[] }> {
  const kinds = new Map<string, AuditRow[]>();
  for (const row of rows) {
    const kind = kindOf(row);
    const alike = kinds.get(kind);
    if (alike === undefined) kinds.set(kind, [row]);
    else alike.push(row);
    if (slices.isOver) await slices.turn();
  }
  const [most, ...others] = [...kinds].sort((a, b) => b[1].length - a[1].length);
  const found = others.flatMap(([kind, of]) => of.map((row) => ({ row, detail: `${kind}, not ${most?.[0]}` })));
  const message = [most, ...others].map((entry) => `${entry?.[1].length ?? 0} ${entry?.[0] ?? ""}`).join(", ");
  return { message, rows: found.sort((a, b) => a.row.index - b.row.index) };
}

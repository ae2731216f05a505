// Texts that hold what a tokenizer takes for control.
import { slices } from "@tunesmith/core";
import type { AuditRow } from "../audit-row.ts";
import type { Check, Noted } from "../finding.ts";

/** Control tokens of common tokenizers, where no model says which are its own. */
const common =
  /<\|[\p{L}\d_ .-]{1,40}\|>|<\/?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[\/?INST\]|<<\/?SYS>>|<｜[^｜<>]{1,40}｜>|\[(?:CLS|SEP|PAD|UNK)\]/u;

/** Texts with control tokens in them. */
export const controlToken: Check = {
  code: "control-token",
  severity: "warning",
  remedy:
    "remove them, or set sanitizeControlTokens: in a text such a token is no text but ends or opens a turn, which teaches the wrong structure",
  isRemoved: false,
  async find({ rows, measured }) {
    const found = new Map<AuditRow, Noted>();
    // Plain text may be written as a template would write it.
    const spoken = rows.filter(({ turns }) => turns.every(({ role }) => role !== "text"));
    for (const row of spoken) {
      const token = row.turns.map(({ text }) => common.exec(text)?.[0]).find((name) => name !== undefined);
      if (token !== undefined) found.set(row, { row, detail: `holds ${JSON.stringify(token)}` });
      if (slices.isOver) await slices.turn();
    }
    const usable = rows.filter(({ problem }) => problem === null);
    for (const { name, lines } of measured?.controlTokens ?? []) {
      for (const line of lines) {
        const row = usable[line - 1];
        if (row !== undefined) found.set(row, { row, detail: `holds ${JSON.stringify(name)}, a token of the model` });
      }
    }
    const inOrder = [...found.values()].sort((a, b) => a.row.index - b.row.index);
    return { message: "texts that hold control tokens", rows: inOrder };
  },
};

// Rows of one column of plain text.
import { type Format, stringField } from "./format.ts";

/** One column of plain text, every token of which is trained, with the end-of-sequence token after it (TRL). */
export const text: Format = {
  name: "text",
  columns: ["text"],
  read(row, { datasetTextField }) {
    return { kind: "text", text: stringField(row.fields, datasetTextField) };
  },
};

// Rows of one column of plain text.
import { textKind } from "../encode/text.ts";
import { type Format, stringField } from "./format.ts";

/** One column of plain text, every token of which is trained, with the end-of-sequence token after it (TRL). */
export const text: Format = {
  name: "text",
  columns: ({ datasetTextField }) => [datasetTextField],
  optionalColumns: [],
  read(row, { datasetTextField }) {
    return { kind: textKind, value: stringField(row.fields, datasetTextField) };
  },
};

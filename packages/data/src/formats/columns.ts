// Renames the columns of rows, from the names that a data set has to those that formats know.
import { nearestName, OptionError } from "@tunesmith/core";
import type { Row } from "../sources/rows.ts";
import { type Format, type FormatOptions, quoted, RowError } from "./format.ts";
import { weightColumn } from "./weights.ts";

/** What the rows call a column, by what a format calls it: `{ prompt: "question" }`. */
export type ColumnNames = Readonly<Record<string, string>>;

/** Renames columns as an option says. */
export class ColumnRenamer {
  /** Name in the rows and name of the format, pair by pair. */
  readonly #pairs: readonly (readonly [from: string, to: string])[];
  readonly #sources: ReadonlySet<string>;
  /** Whether this data set has the other names; null before its first row. */
  #applies: boolean | null = null;

  /** A name that no format knows, or two columns from one, is an `OptionError`. */
  constructor(columns: ColumnNames, formats: readonly Format[], options: Pick<FormatOptions, "datasetTextField">) {
    const read = formats.flatMap((format) => [...format.columns(options), ...format.optionalColumns]);
    const known = [...read, weightColumn];
    for (const name of Object.keys(columns)) if (!known.includes(name)) throw unknownName(name, [...new Set(known)]);
    this.#pairs = Object.entries(columns).map(([to, from]) => [from, to]);
    this.#sources = new Set(Object.values(columns));
    if (this.#sources.size < this.#pairs.length)
      throw new OptionError(
        `[columns] expected a column for each name, got ${quoted(Object.values(columns))}; give each column one name`,
      );
  }

  /**
   * The row with its columns renamed. The first row must have all of them, unless it has the names of the format already or is of a
   * data set of a mix that has none of them; later ones may lack some, which the format then asks for where it needs them.
   */
  rename(row: Row): Row {
    this.#applies ??= this.#appliesTo(row);
    return this.#applies ? this.#renamed(row) : row;
  }

  #appliesTo({ fields, part }: Row): boolean {
    const has = (name: string) => Object.hasOwn(fields, name);
    const isOther = part !== undefined || this.#pairs.every(([, to]) => has(to));
    if (isOther && !this.#pairs.some(([from]) => has(from))) return false;
    for (const [from, to] of this.#pairs) requireColumn(from, to, Object.keys(fields));
    return true;
  }

  #renamed(row: Row): Row {
    const fields: Record<string, unknown> = Object.fromEntries(
      Object.entries(row.fields).filter(([name]) => !this.#sources.has(name)),
    );
    for (const [from, to] of this.#pairs) {
      if (!Object.hasOwn(row.fields, from)) continue;
      if (Object.hasOwn(fields, to))
        throw new RowError(
          `expected one column "${to}", got one of this name beside "${from}", which columns renames to it; rename one of them`,
        );
      fields[to] = row.fields[from];
    }
    return { ...row, fields };
  }
}

function requireColumn(from: string, to: string, given: readonly string[]): void {
  if (given.includes(from)) return;
  const nearest = nearestName(from, given);
  const hint = nearest === null ? "correct columns" : `did you mean "${nearest}"?`;
  throw new RowError(
    `expected the column "${from}", which columns takes for "${to}", got ${quoted(given) || "none"}; ${hint}`,
  );
}

function unknownName(name: string, known: readonly string[]): OptionError {
  const nearest = nearestName(name, known);
  const hint = nearest === null ? `it is NAME=COLUMN, with a name of ${quoted(known)}` : `did you mean "${nearest}"?`;
  return new OptionError(`[columns] expected names of columns that a format reads, got "${name}"; ${hint}`);
}

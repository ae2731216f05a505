// A data set on its way through door A: read, understood and encoded, batch after batch.
import { defaultMaxRowBytes, type Tokenizer } from "@tunesmith/core";
import { ItemReader } from "../formats/item-reader.ts";
import type { DataReport } from "../quality/report.ts";
import { DatasetMix, type MixEntry } from "../sources/mix.ts";
import { noRows, RowErrors } from "../sources/row-errors.ts";
import type { DatasetSource } from "../sources/rows.ts";
import { nameOf, type ReadOptions } from "../sources/source.ts";
import { type EncodedRow, encodeRows } from "./encode-rows.ts";
import { PartReaders } from "./part-readers.ts";
import type { PrepareOptions } from "./prepare-options.ts";
import { readAhead } from "./read-ahead.ts";
import { readItems } from "./read-items.ts";
import { rowBatches } from "./row-batches.ts";
import { neededTokens, type RowIntake } from "./row-intake.ts";

/** Encoded rows, and what was wrong with others among them. */
export interface EncodedBatch {
  rows: EncodedRow[];
  errors: RowErrors;
}

/** The readers of a data set's rows. */
export function readersOf(tokenizer: Tokenizer, options: PrepareOptions): PartReaders {
  const hasChatTemplate = tokenizer.info.chatTemplate !== null;
  return new PartReaders(() => new ItemReader({ task: "supervised", ...options, hasChatTemplate }));
}

/** One reading of a data set, from its first row to its last. */
export class RowSource {
  /** What it is called in messages. */
  readonly name: string;
  readonly #source: DatasetSource;
  readonly #tokenizer: Tokenizer;
  readonly #options: PrepareOptions;
  readonly #readers: PartReaders;
  readonly #ignoredFiles: string[] = [];
  readonly #partsLeft = new Set<number>();

  constructor(source: DatasetSource, tokenizer: Tokenizer, options: PrepareOptions) {
    this.name = nameOf(source, options.name);
    this.#source = source;
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#readers = readersOf(tokenizer, options);
  }

  /**
   * Its rows in batches; the next is read while one is encoded. After a bad row that ends the run the rest is only checked.
   *
   * @param onRead told of bytes of files as they are read
   */
  async *batches(onRead?: ReadOptions["onRead"]): AsyncGenerator<EncodedBatch, undefined> {
    const { name, signal, onBadRow, maxRowBytes = defaultMaxRowBytes } = this.#options;
    const onIgnoredFile = (path: string) => this.#ignoredFiles.push(path);
    const onPartLeft = (part: number) => this.#partsLeft.add(part);
    const encoding = { ...this.#options, tokenizer: this.#tokenizer, maxTokens: neededTokens(this.#options) };
    const batches = rowBatches(this.#source, { name, onIgnoredFile, onPartLeft, onRead, signal, maxRowBytes });
    let [isOver, templateWorks] = [false, this.#options.templateWorks ?? false];
    for await (const batch of readAhead(batches, 1)) {
      signal?.throwIfAborted();
      const errors = new RowErrors(onBadRow);
      errors.include(batch.errors);
      const read = await readItems(batch.rows, this.#readers, errors);
      isOver ||= errors.areFatal;
      const rows = isOver ? [] : await encodeRows(read, { ...encoding, templateWorks }, errors);
      templateWorks ||= rows.length > 0;
      yield { rows, errors };
      isOver ||= errors.areFatal;
    }
  }

  /** A data set without rows is a `DataError`. */
  refuseEmpty(): void {
    if (this.#readers.format === null) throw noRows(this.name);
  }

  /** What is known of its rows, with what has become of them. */
  report(intake: RowIntake, { skipped }: RowErrors): DataReport {
    const { format, ignoredColumns } = this.#readers;
    const source = this.#source;
    return {
      ...{ source: this.name, format: format ?? "", ignoredColumns, skipped, ...intake.report },
      ...(this.#ignoredFiles.length > 0 && { ignoredFiles: [...this.#ignoredFiles] }),
      ...(source instanceof DatasetMix && {
        parts: intake.parts(source.entries.map((entry, index) => this.#partOf(entry, index))),
      }),
    };
  }

  /** What a data set of a mix is called, its weight, and the format of its rows. */
  #partOf({ dataset, weight }: Required<MixEntry>, index: number) {
    const source = nameOf(dataset, `entry ${index + 1}`);
    const isCut = this.#partsLeft.has(index) && ({ isCut: true } as const);
    return { source, weight, format: this.#readers.formatOf(index), ...isCut };
  }
}

// Examples of encoded rows, and what the rows lost on their way to them.
import { hash } from "node:crypto";
import { DataError, type Tokenizer } from "@tunesmith/core";
import { conversationKind } from "../encode/conversation.ts";
import { countTrained, IGNORE_INDEX } from "../encode/mask.ts";
import { type Sequence, type Truncated, type TruncationMode, truncate } from "../encode/truncate.ts";
import type { Example } from "../examples/example.ts";
import { DigestSet } from "../quality/digests.ts";
import { NoteCounts } from "../quality/notes.ts";
import type { DataReport } from "../quality/report.ts";
import { TokenCounts } from "../quality/token-counts.ts";
import { beyondEmbedding } from "../quality/token-range.ts";
import { excerpt } from "../sources/excerpt.ts";
import type { RowErrors } from "../sources/row-errors.ts";
import type { Row } from "../sources/rows.ts";
import type { EncodedRow } from "./encode-rows.ts";
import { PartCounts, type PartReport } from "./part-counts.ts";

/** What is kept of rows. */
export interface KeepOptions {
  /** Tokens that an example may have; null: any number. */
  maxLength: number | null;
  /** What the option is called that says so. Default `maxLength`. */
  lengthOption?: string;
  /** What the rows are for: of prompts nothing is trained, and they are kept. Default `supervised`. */
  task?: "supervised" | "preference" | "prompts";
  /** What is done with a longer row. Default `keep_start` (TRL). */
  truncationMode?: TruncationMode;
  /** Tokens before the first trained one that a row may have; one with more is left out, but plain text. Default null: any number. */
  maxPromptLength?: number | null;
  /** Tokens from the first trained one on, likewise. */
  maxCompletionLength?: number | null;
  /** Rows of the model's embedding; a row with a token beyond them is refused. Default: not looked at. */
  vocabSize?: number;
  /** How many of the first kept rows are given back as they were, for sample prompts. Default 0. */
  keepItems?: number;
}

/** Tokens beyond `maxLength` that are still counted: of longer rows is said how many were cut at least. */
const countedBeyond = 4096;

/** As many tokens as are needed of a row; null for all. */
export function neededTokens({ maxLength, truncationMode = "keep_start" }: KeepOptions): number | null {
  return maxLength === null || truncationMode !== "keep_start" ? null : maxLength + countedBeyond;
}

/** What is remembered of single rows at most, so that counting without end takes no memory without end. */
export interface IntakeLimits {
  /** Rows that are named as left out. */
  dropped: number;
  /** Rows of which duplicates are found. */
  distinct: number;
}

/** The examples of a row, and the SHA-256 of their ids, labels and weights: one, or of a preference the chosen and the rejected answer. */
export interface TakenRow {
  examples: Example[];
  digest: Buffer;
}

/** What is counted of rows by their examples alone. */
export type RowReport = Omit<DataReport, "source" | "format" | "ignoredColumns" | "skipped">;

const withoutLimits: IntakeLimits = { dropped: Number.POSITIVE_INFINITY, distinct: Number.POSITIVE_INFINITY };

/** Makes examples of encoded rows and counts what becomes of them. */
export class RowIntake {
  readonly #tokenizer: Tokenizer;
  readonly #options: KeepOptions;
  readonly #errors: RowErrors;
  readonly #limits: IntakeLimits;
  readonly #parts = new PartCounts();
  readonly #tokens = new TokenCounts();
  readonly #seen: DigestSet;
  readonly #joined = new Joined();
  readonly #notes = new NoteCounts();
  readonly #dropped: DataReport["dropped"] = [];
  readonly #weights = { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY, given: false };
  /** Ids of the first row, to be shown when nothing can be trained. */
  #first: Int32Array | null = null;
  #firstIsConversation = false;
  #rows = 0;
  #counts = { truncated: 0, truncatedReplies: 0, uncounted: 0, trainedTokens: 0, prefixMismatches: 0, duplicates: 0 };
  readonly #cut = { prompt: 0, answer: 0 };

  constructor(tokenizer: Tokenizer, options: KeepOptions, errors: RowErrors, limits = withoutLimits) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#errors = errors;
    this.#limits = limits;
    this.#seen = new DigestSet(limits.distinct);
  }

  /** The example of a row; null where nothing of it can be trained, or it is refused. */
  take({ row, item, encoded }: EncodedRow, rowId: number): TakenRow | null {
    if (encoded.rejected !== undefined) return this.#takePair(row, { ...encoded, rejected: encoded.rejected }, rowId);
    const { vocabSize = Number.POSITIVE_INFINITY } = this.#options;
    const beyond = beyondEmbedding(encoded.ids, vocabSize, this.#tokenizer) ?? this.#tooLong(encoded);
    if (beyond !== null) {
      this.#errors.add(row.source, row.line, beyond);
      return null;
    }
    this.#rows += 1;
    this.#notes.add(row, encoded.notes ?? []);
    if (encoded.prefixMismatch) this.#counts.prefixMismatches += 1;
    const overlong = this.#overlong(encoded);
    if (overlong !== null) {
      this.#drop(row, overlong);
      return null;
    }
    const kept = this.#fit(row, encoded);
    if (kept === null) return null;
    const { ids, labels, cut, weights } = kept;
    if (this.#first === null) [this.#first, this.#firstIsConversation] = [ids, item.kind === conversationKind];
    const truncated = ids.length < encoded.ids.length;
    if (truncated) this.#counts.truncated += 1;
    if (cut.answer > 0 || encoded.rest === "trained") this.#counts.truncatedReplies += 1;
    if (encoded.rest !== undefined) this.#counts.uncounted += 1;
    this.#cut.prompt += cut.prompt;
    this.#cut.answer += cut.answer;
    const trained = countTrained(labels);
    if (trained === 0 && this.#options.task !== "prompts") {
      this.#drop(row, this.#untrained(encoded));
      return null;
    }
    this.#counts.trainedTokens += trained;
    this.#parts.add(row, trained);
    this.#tokens.add(ids.length);
    this.#weigh(kept);
    const { turns } = encoded;
    const sequence = { ids, labels, ...(weights !== undefined && { weights }) };
    const example = { ...sequence, turns, length: ids.length, rowId, truncated };
    return { examples: [example], digest: this.#identify([kept], row) };
  }

  /** Both answers of a preference, cut to `maxLength`; null where the prompt alone has as many tokens, or an answer is empty. */
  #takePair(
    row: Row,
    encoded: EncodedRow["encoded"] & Required<Pick<EncodedRow["encoded"], "rejected">>,
    rowId: number,
  ): TakenRow | null {
    const { vocabSize = Number.POSITIVE_INFINITY, maxLength } = this.#options;
    const { rejected, promptLength = 0, turns } = encoded;
    const answers = [encoded, rejected] as const;
    const beyond = answers
      .map(({ ids }) => beyondEmbedding(ids, vocabSize, this.#tokenizer))
      .find((one) => one !== null);
    const weighted =
      encoded.weights === undefined
        ? null
        : 'expected no "weight", got one: preferences are compared, not weighed; remove the column';
    const refused = beyond ?? weighted;
    if (refused !== null) {
      this.#errors.add(row.source, row.line, refused);
      return null;
    }
    this.#rows += 1;
    this.#notes.add(row, encoded.notes ?? []);
    if (encoded.prefixMismatch) this.#counts.prefixMismatches += 1;
    this.#first ??= encoded.ids;
    if (maxLength !== null && promptLength >= maxLength) {
      this.#drop(row, `the prompt fills maxLength ${maxLength} (it has ${promptLength} tokens)`);
      return null;
    }
    const kept = answers.map(({ ids, labels }) => truncate({ ids, labels }, maxLength ?? ids.length, "keep_start"));
    const cut = kept.reduce((sum, { cut: { answer } }) => sum + answer, 0);
    const [tokens, trained] = [
      kept.reduce((sum, { ids }) => sum + ids.length, 0),
      kept.reduce((sum, { labels }) => sum + countTrained(labels), 0),
    ];
    if (kept.some(({ labels }) => countTrained(labels) === 0)) {
      this.#drop(row, "an answer without tokens");
      return null;
    }
    if (cut > 0) {
      this.#counts.truncated += 1;
      this.#counts.truncatedReplies += 1;
      this.#cut.answer += cut;
    }
    if (encoded.rest !== undefined) this.#counts.uncounted += 1;
    this.#counts.trainedTokens += trained;
    this.#parts.add(row, trained);
    this.#tokens.add(tokens);
    const examples = kept.map(({ ids, labels }, n) => ({
      ...{ ids, labels, turns, length: ids.length, rowId },
      truncated: ids.length < (answers[n]?.ids.length ?? 0),
    }));
    return { examples, digest: this.#identify(kept, row) };
  }

  /** Why a row is refused for its length; null where it is not. */
  #tooLong({ ids }: Sequence): string | null {
    const { maxLength, truncationMode } = this.#options;
    if (truncationMode !== "error" || maxLength === null || ids.length <= maxLength) return null;
    return `expected at most ${maxLength} tokens (maxLength), got ${ids.length}; shorten the row, raise maxLength, or choose another truncationMode`;
  }

  /** Why a row is left out for its prompt or its answer; null where it is not. */
  #overlong({ ids, labels, turns }: EncodedRow["encoded"]): string | null {
    const { maxPromptLength = null, maxCompletionLength = null } = this.#options;
    if (turns < 2 || (maxPromptLength === null && maxCompletionLength === null)) return null;
    const prompt = labels.findIndex((label) => label !== IGNORE_INDEX);
    if (prompt === -1) return null;
    const completion = ids.length - prompt;
    if (maxPromptLength !== null && prompt > maxPromptLength)
      return `a prompt of ${prompt} tokens, more than maxPromptLength ${maxPromptLength}`;
    return maxCompletionLength !== null && completion > maxCompletionLength
      ? `an answer of ${completion} tokens, more than maxCompletionLength ${maxCompletionLength}`
      : null;
  }

  /** The sequence within `maxLength`; null for a row that is left out for its length. */
  #fit(row: Row, sequence: Sequence): Truncated | null {
    const { maxLength, lengthOption = "maxLength", truncationMode: mode = "keep_start" } = this.#options;
    const tokens = sequence.ids.length;
    const most = maxLength ?? tokens;
    if (tokens <= most || mode !== "drop")
      return truncate(sequence, most, mode === "keep_end" ? "keep_end" : "keep_start");
    this.#drop(row, `${tokens} tokens, more than ${lengthOption} ${most}`);
    return null;
  }

  #drop({ source, line }: Row, reason: string): void {
    if (this.#dropped.length < this.#limits.dropped) this.#dropped.push({ source, line, reason });
  }

  /** Why nothing of a row is trained. */
  #untrained({ ids, labels, rest }: EncodedRow["encoded"]): string {
    if (countTrained(labels) === 0 && rest !== "trained") return "no trained token";
    const length = `${rest === undefined ? "" : "more than "}${ids.length}`;
    return `no trained token within maxLength ${this.#options.maxLength} (the row has ${length})`;
  }

  #weigh({ labels, weights }: Sequence): void {
    const range = this.#weights;
    if (weights === undefined) {
      range.min = Math.min(range.min, 1);
      range.max = Math.max(range.max, 1);
      return;
    }
    for (let t = 0; t < labels.length; t += 1) {
      if (labels[t] === IGNORE_INDEX) continue;
      const weight = weights[t] as number;
      range.min = Math.min(range.min, weight);
      range.max = Math.max(range.max, weight);
      if (weight !== 1) range.given = true;
    }
  }

  #identify(sequences: readonly Sequence[], { repeated = false }: Row): Buffer {
    const arrays = sequences.flatMap(({ ids, labels, weights }) => [
      ids,
      labels,
      ...(weights === undefined ? [] : [weights]),
    ]);
    const digest = hash("sha256", this.#joined.of(arrays), "buffer");
    if (!this.#seen.add(digest) && !repeated) this.#counts.duplicates += 1;
    return digest;
  }

  /** Rows that were taken in or left out. */
  get rows(): number {
    return this.#rows;
  }

  /** What came of each data set of a mix. */
  parts(named: Parameters<PartCounts["of"]>[0]): PartReport[] {
    return this.#parts.of(named);
  }

  /** What has become of the rows so far. */
  get report(): RowReport {
    const tokens = this.#tokens.statistics;
    const { min, max, given } = this.#weights;
    return {
      rows: this.#rows,
      kept: this.#tokens.count,
      dropped: [...this.#dropped],
      tokens,
      ...this.#counts,
      cutTokens: { ...this.#cut },
      notWritten: this.#notes.of("notWritten"),
      controlTokens: this.#notes.of("controlToken"),
      endsNotTrained: this.#notes.of("endNotTrained"),
      trainedShare: tokens.total === 0 ? 0 : this.#counts.trainedTokens / tokens.total,
      lossWeights: given ? { min, max } : null,
    };
  }

  /** A data set of which nothing can be trained is a `DataError` that shows its first row. */
  refuseNothingToTrain(source: string): void {
    if (this.#tokens.count > 0) return;
    const [first] = this.#dropped;
    const text = this.#first === null ? "" : this.#tokenizer.decode(this.#first, { skipSpecialTokens: false });
    const decoded = text === "" ? "" : `, decoded: ${excerpt(text)}`;
    throw new DataError(
      `[data] ${source}: expected at least one row with a token to train on, but all ${this.rows} rows are left out; ` +
        `first row (line ${first?.line}): ${first?.reason}${decoded}${this.#searched}; check the roles, train flags and maxLength`,
    );
  }

  /** Where the answers of a conversation were looked for. */
  get #searched(): string {
    if (!this.#firstIsConversation) return "";
    return this.#tokenizer.info.hasGenerationTags
      ? ", answers looked for between {% generation %} and {% endgeneration %} of the chat template"
      : ", answers looked for where the chat template writes a message of the role assistant";
  }
}

/** Arrays end to end, in memory that is used again: one digest of all is half the work of one that is made piece by piece. */
class Joined {
  #bytes = new Uint8Array(1 << 12);

  /** A view that the next call overwrites. */
  of(arrays: readonly (Int32Array | Float32Array)[]): Uint8Array {
    const size = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (size > this.#bytes.length) this.#bytes = new Uint8Array(2 * size);
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of arrays) {
      this.#bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
      at += byteLength;
    }
    return this.#bytes.subarray(0, size);
  }
}

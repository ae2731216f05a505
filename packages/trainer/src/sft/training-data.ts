// What supervised fine-tuning trains on: prepared whole before the first step, or read while it trains.
import type { ParsedSFTConfig, PassShape, Tokenizer } from "@tunesmith/core";
import { type SamplerFactory, shuffled } from "@tunesmith/curriculum";
import { type Example, type PackingReport, type StreamedExample, WindowPacker } from "@tunesmith/data";
import { batchLimit } from "../loop/batch-room.ts";
import type { BatchSampler, StepPlace } from "../loop/batch-sampler.ts";
import { epochBatches } from "../loop/epoch-batches.ts";
import type { MeasuredOrder } from "../loop/measured-order.ts";
import { orderState } from "../loop/order-state.ts";
import type { DataSummary, RecipeState } from "../loop/recipe.ts";
import { type RowStream, StreamBatches } from "../loop/stream-batches.ts";
import { largestPass } from "../memory/largest-pass.ts";
import { DataNews, dataWarnings } from "./data-warnings.ts";
import { fullPass } from "./estimate-memory.ts";
import { measuredRows } from "./measured-rows.ts";
import { objectiveOf } from "./objective.ts";
import { type ArrangedRows, exampleLength } from "./packing.ts";
import { epochWarnings, type RowsReader, type RowsRequest, streamRows } from "./prepare.ts";

/** The rows of a run's steps. */
export interface TrainingData {
  train: DataSummary;
  batches: BatchSampler;
  measured?: MeasuredOrder | undefined;
  /** The sequences of a row of the step in hand. */
  sequences(row: number): Example[];
  warnings: readonly string[];
  /** What there is to say after a step, of rows that came with it. */
  news(place: StepPlace): string[];
  largestPass(done: number): PassShape | Promise<PassShape>;
  locate(rowId: number): string;
  state?: RecipeState | undefined;
  close?(): Promise<void>;
}

/** Rows that have been prepared, in epochs. */
export async function wholeData(
  arranged: ArrangedRows,
  tokenizer: Tokenizer,
  args: ParsedSFTConfig,
  sampler: SamplerFactory | null,
): Promise<TrainingData> {
  const { data, rows } = arranged;
  const { batches, warnings } = await epochBatches(args, rows, sampler);
  const measured = measuredRows(arranged, { batches, args, tokenizer });
  const longest = rows.lengths.reduce((most, length) => Math.max(most, length), 1);
  async function* lengths(done: number) {
    for await (const { microBatches } of batches.steps(done))
      yield microBatches.map((indices) => Array.from(indices, (row) => rows.pieces(row)).flat());
  }
  return {
    train: data,
    batches,
    sequences: (row) => rows.at(row),
    warnings: [...warnings, ...dataWarnings(data.report), ...epochWarnings(args, data.examples.length)],
    news: () => [],
    measured,
    // Which rows meet in a pass shows when they have been measured: until then it is planned as if they were the longest.
    largestPass: async (done) =>
      measured === undefined
        ? { ...(await largestPass(lengths(done), args.tokenBudget)), objective: objectiveOf(args) }
        : fullPass({ ...args, maxLength: longest }, longest),
    locate: data.locate,
    state: orderState(batches, { isOfProgram: sampler !== null, measured }),
  };
}

/** Rows that are read while they are trained on. The first of them have been read when this resolves. */
export async function streamedData(
  request: RowsRequest,
  reader: RowsReader,
  args: ParsedSFTConfig,
  { context, signal }: { context: number; signal: AbortSignal },
): Promise<TrainingData> {
  // Told while the first rows are read, and those that a resumed run has seen; not of rows that are read beside the steps.
  let isTold = true;
  const onProgress: RowsRequest["onProgress"] = (progress) => {
    if (isTold) request.onProgress?.(progress);
  };
  const rows = new StreamedRows({ ...request, onProgress }, reader, args, signal);
  const { gradientAccumulationSteps: accumulation, maxSteps } = args;
  const batches = new StreamBatches(rows, { limit: batchLimit(args), accumulation, maxSteps, signal });
  await batches.open();
  isTold = false;
  const { save, load } = batches.state;
  const news = new DataNews();
  return {
    train: {
      get report() {
        return rows.report;
      },
      fingerprint: null,
    },
    batches,
    sequences: (row) => [...batches.row(row)],
    warnings: news.of(rows.report, false),
    news: ({ step, endsEpoch }) => news.of(rows.report, endsEpoch || step === maxSteps),
    largestPass: () => fullPass(args, context),
    locate: (rowId) => batches.rows.flat().find((example) => example.rowId === rowId)?.place ?? `row ${rowId}`,
    state: {
      save,
      load: async (state) => {
        isTold = true;
        await load(state);
        isTold = false;
      },
    },
    close: () => batches.close(),
  };
}

/** Rows as they come: examples, packed where that is asked for, in an order drawn from a buffer. */
class StreamedRows implements RowStream<readonly StreamedExample[]> {
  readonly name: string;
  readonly #examples: ReturnType<typeof streamRows>;
  readonly #args: ParsedSFTConfig;
  #packing: PackingReport | null = null;
  #isCounted = false;

  constructor(request: RowsRequest, reader: RowsReader, args: ParsedSFTConfig, signal: AbortSignal) {
    this.name = request.name;
    this.#args = args;
    const maxLength = exampleLength(args, args.packing);
    this.#examples = streamRows(request, reader, { ...args, maxLength }, signal);
  }

  get report(): DataSummary["report"] {
    const { report } = this.#examples;
    return this.#packing === null ? report : { ...report, packing: this.#packing };
  }

  async *pass(epoch: number): AsyncGenerator<readonly StreamedExample[], undefined> {
    const { trainSamplingStrategy: strategy, dataSeed, seed: seedOfAll, shuffleDataset } = this.#args;
    const seed = dataSeed ?? seedOfAll;
    const bufferSize = strategy === "sequential" && !shuffleDataset ? 1 : this.#args.bufferSize;
    // A packed row counts as the rows that lie in it.
    const weigh = (row: readonly StreamedExample[]) => row.length;
    yield* shuffled(this.#rows(), { bufferSize, seed, epoch: strategy === "sequential" ? 0 : epoch, weigh });
  }

  lengthOf(row: readonly StreamedExample[]): number {
    return row.reduce((sum, { length }) => sum + length, 0);
  }

  *bytesOf(row: readonly StreamedExample[]): Generator<Uint8Array, undefined> {
    for (const { ids, labels, weights } of row)
      for (const { buffer, byteOffset, byteLength } of [ids, labels, ...(weights === undefined ? [] : [weights])])
        yield new Uint8Array(buffer, byteOffset, byteLength);
  }

  async *#rows(): AsyncGenerator<readonly StreamedExample[], undefined> {
    const { packing, packingStrategy: strategy, maxLength } = this.#args;
    const examples = this.#examples.pass();
    if (!packing || strategy === "best_fit" || maxLength === null) {
      for await (const example of examples) yield [example];
      return;
    }
    const packer = new WindowPacker({ seqLength: maxLength, strategy });
    for await (const row of packer.rows(examples)) {
      // Its report is that of a whole pass as soon as there was one.
      if (!this.#isCounted) this.#packing = packer.report;
      yield row;
    }
    this.#isCounted = true;
  }
}

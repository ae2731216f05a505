// What a run that reads its rows while it trains cannot do, for it knows neither all of them nor how many they are.
import { OptionError, type ParsedSFTConfig } from "@tunesmith/core";
import { type DatasetSource, DatasetSplit, isStream } from "@tunesmith/data";

/** A run, as far as this is about it. */
interface StreamedRun {
  trainDataset: DatasetSource;
  hasSampler: boolean;
}

const orLoad = "or let the rows be read first: streaming off, and files or an array as trainDataset";

/** The options, with `streaming` on where the data set has no other way. What needs all rows at once is refused by name. */
export function withStreaming(args: ParsedSFTConfig, run: StreamedRun): ParsedSFTConfig {
  if (!args.streaming && !isStream(run.trainDataset)) return args;
  const refusal = refusals.map((refuse) => refuse(args, run)).find((found) => found !== null);
  if (refusal !== undefined && refusal !== null) throw new OptionError(`${refusal}, ${orLoad}`);
  return { ...args, streaming: true };
}

/** What to say of a run; null where nothing is against it. */
type Refusal = (args: ParsedSFTConfig, run: StreamedRun) => string | null;

const refusals: readonly Refusal[] = [
  ({ maxSteps }) =>
    maxSteps > 0
      ? null
      : "[maxSteps] expected a number of steps, since how many rows there are is not known with streaming, got none; give maxSteps",
  ({ auto }) =>
    auto
      ? "[auto] expected false with streaming, got true, which needs the number and lengths of all rows; set what recommendTraining says"
      : null,
  ({ packing, packingStrategy: strategy }) =>
    packing && strategy === "best_fit"
      ? '[packingStrategy] expected bfd, bfd_split or wrapped with streaming, got "best_fit", which looks at all rows at once; choose one of them'
      : null,
  ({ trainSamplingStrategy: strategy }) =>
    strategy !== "random" && strategy !== "sequential"
      ? `[trainSamplingStrategy] expected random or sequential with streaming, got "${strategy}", which needs the lengths of all rows; choose one of them`
      : null,
  ({ ignoreDataSkip, dataloaderDropLast }) =>
    ignoreDataSkip || dataloaderDropLast
      ? `[${ignoreDataSkip ? "ignoreDataSkip" : "dataloaderDropLast"}] expected false with streaming, got true, which needs to know where an epoch ends; leave it out`
      : null,
  (_, { hasSampler }) =>
    hasSampler
      ? "[sampler] expected none with streaming, got a function, which needs the lengths of all rows; leave it out"
      : null,
  ({ testSize, splitStrategy }, { trainDataset }) =>
    (testSize !== null && splitStrategy === "random") || isRandomSplit(trainDataset)
      ? '[splitStrategy] expected "hash" with streaming, got "random", which counts all rows first; give splitStrategy "hash"'
      : null,
];

function isRandomSplit(dataset: DatasetSource): boolean {
  return dataset instanceof DatasetSplit && dataset.strategy === "random";
}

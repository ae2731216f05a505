// Options that other libraries have, or programs alone, and what stands in their place.

const functionAdvice = ["data", "a function needs a program: give it to SFTTrainer, beside trainDataset"] as const;

/** By the name elsewhere: the option here that decides it, and what to do, for an error message. */
const elsewhere: ReadonlyMap<string, readonly [instead: string, advice: string]> = new Map<
  string,
  readonly [string, string]
>([
  ["torchDtype", ["dtype", 'it is called "dtype"']],
  ["deviceMap", ["device", 'a model is on one device: give "device"']],
  ["doSample", ["temperature", 'a "temperature" above 0 samples, 0 is greedy']],
  ["shuffleBufferSize", ["bufferSize", 'it is called "bufferSize"']],
  ["maxLen", ["maxLength", 'it is called "maxLength"']],
  ["fromProgram", ["data", "the run was made by a program, with functions that no file can hold: start it there"]],
  ["formattingFunc", functionAdvice],
  ["sampler", functionAdvice],
  ["dataCollator", functionAdvice],
  ["computeLossFunc", functionAdvice],
  [
    "lrScheduler",
    ["lrSchedulerType", 'a name goes into "lrSchedulerType"; a function needs a program: give it to SFTTrainer'],
  ],
]);

/** What to do about an option of another library, where the one that stands in its place can be given here; else null. */
export function adviceFor(name: string, known: readonly string[]): string | null {
  const found = elsewhere.get(name);
  return found !== undefined && known.includes(found[0]) ? found[1] : null;
}

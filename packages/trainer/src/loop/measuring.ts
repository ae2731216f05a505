// Asks the model how hard the rows are, where the order of the next steps needs to know.
import type { ActiveRun } from "./active-run.ts";
import { digestModel } from "./environment.ts";
import type { MeasuringEvent } from "./events.ts";

/** Milliseconds before the first event, and between two. */
const [patience, interval] = [1000, 250];

/** Measures the rows where that is due before the next step. Throws the signal's reason between two passes. */
export async function measureIfDue(run: ActiveRun): Promise<void> {
  const { control, events, prepared, session, state } = run;
  const { measured } = prepared;
  const { global_step: step, max_steps: last } = state;
  if (measured === undefined || step >= last || !measured.isDue(step)) return;
  await control.rest();
  control.signal.throwIfAborted();
  const tell = (rows: number, fromCache: boolean) => {
    const { difficulty } = measured;
    const event: MeasuringEvent = { type: "measuring", step, difficulty, rows, share: rows / measured.rows, fromCache };
    return events.emit(event);
  };
  let next = performance.now() + patience;
  const onRows = async (rows: number) => {
    const now = performance.now();
    if (now < next || rows === measured.rows) return;
    next = now + interval;
    await tell(rows, false);
  };
  const weights = step === 0 ? await initialWeights(run) : null;
  const fromCache = await measured.measure({ session, step, signal: control.signal, weights, onRows });
  await tell(measured.rows, fromCache);
}

/** All that decides the weights before the first step, and how they are computed with; null where a part of it is not known. */
async function initialWeights({ args, inputs, modelSha256, session }: ActiveRun): Promise<unknown> {
  const { adapterPath, ...peft } = inputs.peft;
  const adapterSha256 = adapterPath === null ? null : await digestModel(adapterPath);
  if (modelSha256 === null || (adapterPath !== null && adapterSha256 === null)) return null;
  // An adapter that is not 0 at first depends on the seed.
  const isRandom = peft.initLoraWeights === false || peft.initLoraWeights === "orthogonal";
  const seed = isRandom || peft.useDora ? args.seed : null;
  return [modelSha256, inputs.model.weightOptions, peft, adapterSha256, seed, session.info.backend];
}

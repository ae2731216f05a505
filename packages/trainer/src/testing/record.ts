// Collects the events of a run.
import type { TrainEvent } from "../loop/events.ts";
import type { Metrics } from "../loop/metrics.ts";
import type { TrainRun } from "../loop/run.ts";

/** All events of a run, and the error it ended with, if any. */
export async function record<M extends Metrics>(
  run: TrainRun<M>,
): Promise<{ events: TrainEvent<M>[]; error: Error | null }> {
  const events: TrainEvent<M>[] = [];
  try {
    for await (const event of run) events.push(event);
    return { events, error: null };
  } catch (error) {
    return { events, error: error as Error };
  }
}

/** The events of one type. */
export function ofType<E extends { type: string }, T extends E["type"]>(
  events: readonly E[],
  type: T,
): Extract<E, { type: T }>[] {
  return events.filter((event): event is Extract<E, { type: T }> => event.type === type);
}

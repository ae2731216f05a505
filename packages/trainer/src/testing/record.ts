// Collects the events of a run.
import type { TrainEvent } from "../loop/events.ts";
import type { TrainRun } from "../loop/run.ts";

/** All events of a run, and the error it ended with, if any. */
export async function record(run: TrainRun): Promise<{ events: TrainEvent[]; error: Error | null }> {
  const events: TrainEvent[] = [];
  try {
    for await (const event of run) events.push(event);
    return { events, error: null };
  } catch (error) {
    return { events, error: error as Error };
  }
}

/** The events of one type. */
export function ofType<T extends TrainEvent["type"]>(
  events: readonly TrainEvent[],
  type: T,
): Extract<TrainEvent, { type: T }>[] {
  return events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
}

// Tells how far the preparation of rows is: not of short ones, and not too often.
import type { PrepareProgress } from "@tunesmith/data";
import type { PreparingEvent } from "./events.ts";

/** Milliseconds before the first event, and between two. */
const [patience, interval] = [1000, 250];

/** How far a data set is, or a reference with its rows. */
type Progress = PrepareProgress & Pick<PreparingEvent, "reference">;

/** Told how far a data set is. */
export type OnPreparing = (dataset: PreparingEvent["dataset"], progress: Progress) => void;

/** Makes events of what is told, from now on. */
export function preparingEvents(emit: (event: PreparingEvent) => void): OnPreparing {
  let next = performance.now() + patience;
  return (dataset, { rows, share, reference }) => {
    const now = performance.now();
    const isLast = reference !== undefined && share === 1;
    if (now < next && !isLast) return;
    next = now + interval;
    emit({ type: "preparing", dataset, rows, share, ...(reference !== undefined && { reference }) });
  };
}

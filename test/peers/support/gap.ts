// How near two tokens are for the engine: where another program chooses otherwise, rounding had to bridge as much.
import type { Batch, Generator } from "@tunesmith/core";

/** Loss of one token after a text: its logit less the logarithm of all, which cancels in a difference. */
async function lossOf(session: Generator, text: readonly number[], token: number): Promise<number> {
  const ids = Int32Array.from([...text, token]);
  const batch: Batch = {
    inputIds: ids,
    labels: ids.map((id, place) => (place === ids.length - 1 ? id : -100)),
    positions: ids.map((_, place) => place),
    sequenceStarts: Int32Array.of(0, ids.length),
    microBatch: Int32Array.of(0),
    rowIds: Int32Array.of(0),
  };
  return (await session.evaluate(batch)).lossSum[0] as number;
}

/** The logit of one token after a text, less that of another. */
export async function gapOf(session: Generator, text: readonly number[], one: number, other: number) {
  return (await lossOf(session, text, other)) - (await lossOf(session, text, one));
}

// Rows of two examples each: the answers of a preference stay together.
import type { Examples } from "../examples/example.ts";
import { PackBuilder } from "./packs.ts";
import { TrainingRows } from "./training-rows.ts";

/** The examples of preferences as rows of two: the chosen answer, then the rejected one. */
export async function pairRows(examples: Examples): Promise<TrainingRows> {
  const builder = new PackBuilder();
  for (let n = 0; n + 1 < examples.length; n += 2) {
    const row = builder.open();
    for (const example of [n, n + 1]) builder.place(row, example, 0, examples.lengths[example] as number);
  }
  return new TrainingRows(examples, (await builder.finish()).packs);
}

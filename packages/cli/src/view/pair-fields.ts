// What is shown of pairs of answers.
import { percent, significant } from "./format.ts";

/** `pairs right 75.0 %  margin 0.12`: the share of the pairs whose chosen answer has gained more, and by how much. */
export function pairFields(accuracy: number, margin: number): string {
  return `pairs right ${percent(accuracy)}  margin ${significant(margin, 3)}`;
}

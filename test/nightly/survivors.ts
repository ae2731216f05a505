// Mutants of the kernels that no suite can notice, each with the reason. One that a suite notices, or that is not there, does not belong here.
import type { Mutant } from "./mutants.ts";

/** A mutant by what its line says and what is done to it, so that it is found when lines move. */
export interface Survivor {
  file: string;
  text: string;
  change: string;
  why: string;
}

const masked = "load and store leave out what lies beyond the end of a row or tensor: the test only saves their work";

export const survivors: readonly Survivor[] = [
  { file: "kernels/adamw.cu", text: "if (i >= t.len) return;", change: "i >= t.len → false", why: masked },
  { file: "kernels/elementwise.cu", text: "if (i >= n) return;", change: "i >= n → false", why: masked },
  { file: "kernels/elementwise.cu", text: "if (i >= width) return;", change: "i >= width → false", why: masked },
  {
    file: "kernels/embedding.cu",
    text: "for (int i = static_cast<int>(threadIdx.x) * PACK<T>; i < d; i += THREADS * PACK<T>) {",
    change: "one step more",
    why: masked,
  },
  { file: "kernels/swiglu.cu", text: "if (i >= n) return;", change: "i >= n → false", why: masked },
];

/** The sentence for a mutant. */
export function survivorOf({ file, text, change }: Mutant): Survivor | undefined {
  return survivors.find((known) => known.file === file && known.text === text && known.change === change);
}

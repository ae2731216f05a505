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
  {
    file: "kernels/attention.cu",
    text: "if (query >= s.queries) {",
    change: "query >= s.queries → false",
    why: "store_rows and the test before lse leave out rows after the last query: what is saved is a warp's few last instructions",
  },
  {
    file: "kernels/attention_backward.cu",
    text: "if (key < s.keys) {",
    change: "key < s.keys → true",
    why: "store_rows leaves out rows after the last key: what is saved is a warp's few last instructions",
  },
  {
    file: "kernels/attention_backward.cu",
    text: "if (query < s.queries) {",
    change: "query < s.queries → true",
    why: "store_rows leaves out rows after the last query: what is saved is a warp's few last instructions",
  },
  {
    file: "kernels/attention_exact.cu",
    text: "__syncwarp();  // All lanes have read the row before; the exchanges above do not order memory.",
    change: "removed",
    why: "on the emulated device an exchange orders memory too, and there are two between a row and the next",
  },
  {
    file: "kernels/attention_exact.cu",
    text: "for (int i = threadIdx.x; i < BLOCK * h; i += THREADS) {",
    change: "one step more",
    why: "the number after the rows is the first factor of a warp, which is written again before it is read",
  },
  {
    file: "kernels/attention_exact.cu",
    text: "const int end = position_of(s, min(first + WARPS, s.queries) - 1) + 1;",
    change: "min without s.queries",
    why: "eight queries end in the tile of keys in which they begin, however many of them there are",
  },
  {
    file: "kernels/attention_exact.cu",
    text: "const bool seen = query < s.queries && sees(p, position_of(s, query), key + lane);",
    change: "query < s.queries → true",
    why: "what a warp after the last query adds up is not stored: the test only saves its products",
  },
  {
    file: "kernels/attention_exact.cu",
    text: "const bool seen = mine < s.queries && key < s.keys && sees(p, mine, key);",
    change: "key < s.keys → true",
    why: "what a warp after the last key adds up is not stored: the test only saves its products",
  },
  {
    file: "kernels/cross_entropy.cu",
    text: "for (int i = threadIdx.x; i < pieces; i += THREADS) {",
    change: "one step more",
    why: masked,
  },
  { file: "kernels/elementwise.cu", text: "if (i >= n) return;", change: "i >= n → false", why: masked },
  { file: "kernels/elementwise.cu", text: "if (i >= width) return;", change: "i >= width → false", why: masked },
  {
    file: "kernels/embedding.cu",
    text: "for (int i = static_cast<int>(threadIdx.x) * PACK<T>; i < d; i += THREADS * PACK<T>) {",
    change: "one step more",
    why: masked,
  },
  {
    file: "kernels/embedding.cu",
    text: "const int other = second ? pair : min(n, pair + length);",
    change: "min without n",
    why: "a run that begins after the last key has a negative length then instead of none, and the bisection reads nothing of it either way",
  },
  {
    file: "kernels/nf4.cu",
    text: "for (int j = 0; j < NF4_PIECE && column + j < p.columns; ++j) {",
    change: "j < NF4_PIECE → true",
    why: "a thread goes on to the end of its row and writes there what the threads of those pieces write: the test only saves work",
  },
  {
    file: "kernels/nf4_gemv.cu",
    text: "if (lane_id() == 0 && row + i < g.m && feature + f < g.n) from_float(g.y[from * g.n + to], sum);",
    change: "row + i < g.m → true",
    why: "rows after the last are computed as the last: its number would only be written again",
  },
  {
    file: "kernels/nf4_gemv.cu",
    text: "if (lane_id() == 0 && row + i < g.m && feature + f < g.n) from_float(g.y[from * g.n + to], sum);",
    change: "feature + f < g.n → true",
    why: "features after the last are computed as the last: its number would only be written again",
  },
  {
    file: "kernels/rms_norm.cu",
    text: "for (int i = rest; i < end; i += step) {",
    change: "one step more",
    why: masked,
  },
  {
    file: "kernels/router.cu",
    text: "for (int i = lane_id() * PACK<T>; i < d; i += 32 * PACK<T>) {",
    change: "one step more",
    why: masked,
  },
  {
    file: "kernels/router.cu",
    text: "for (int at = first; at < last; at += 32 * AHEAD) {",
    change: "one step more",
    why: "slots after the last belong to no expert, and none of them is visited: the step does nothing",
  },
  { file: "kernels/sgd.cu", text: "if (i >= t.len) return;", change: "i >= t.len → false", why: masked },
  { file: "kernels/swiglu.cu", text: "if (i >= n) return;", change: "i >= n → false", why: masked },
  {
    file: "kernels/common/columns.cuh",
    text: "const int last = j < n ? min(m, first + SUM_CHUNK) : first;",
    change: "j < n → true",
    why: "the terms after the end of a row are zeros that are never loaded: the test only saves their sums",
  },
  {
    file: "kernels/common/mma.cuh",
    text: "const bf16* source = count > 0 ? matrix + (row + r) * stride + first : matrix;",
    change: "count > 0 → true",
    why: "where nothing of a piece lies in the matrix, not a byte is read from its address",
  },
];

/** The sentence for a mutant. */
export function survivorOf({ file, text, change }: Mutant): Survivor | undefined {
  return survivors.find((known) => known.file === file && known.text === text && known.change === change);
}

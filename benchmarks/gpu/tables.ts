// Tables and goals from the lines of a GPU run.
import type { Line, Quantiles } from "./lines.ts";

/** What the card did at best in the same run; absent where it was not measured. */
export interface Ceilings {
  bytesPerSecond?: number;
  flopsPerSecond?: number;
}

export function ceilings(lines: readonly Line[]): Ceilings {
  const of = (name: string) => lines.find((line) => line.part === "ceiling" && line.ceiling === name);
  const bytes = of("copy")?.bytes_per_second;
  const flops = of("matmul_bf16")?.flops_per_second;
  return {
    ...(bytes === undefined ? {} : { bytesPerSecond: bytes }),
    ...(typeof flops === "number" ? { flopsPerSecond: flops } : {}),
  };
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
const digits = (value: number) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(3));
const percent = (value: number | undefined) => (value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);

/** Share of the ceiling that bounds the case; the median counts. */
export function share(line: Line, limits: Ceilings): number | undefined {
  if (line.median_ms === undefined) return undefined;
  const seconds = line.median_ms / 1e3;
  if (line.bytes !== undefined && limits.bytesPerSecond !== undefined)
    return line.bytes / seconds / limits.bytesPerSecond;
  if (line.flops !== undefined && limits.flopsPerSecond !== undefined)
    return line.flops / seconds / limits.flopsPerSecond;
  return undefined;
}

interface Case {
  case: string;
  model: string;
  ours: Line | undefined;
  peers: Line[];
}

/** The kernel lines by case and model, in the order they were measured. */
export function kernelCases(lines: readonly Line[]): Case[] {
  const cases = new Map<string, Case>();
  for (const line of lines.filter(({ part }) => part === "kernel")) {
    const key = `${line.model}/${line.case}`;
    const entry = cases.get(key) ?? { case: line.case ?? "", model: line.model ?? "", ours: undefined, peers: [] };
    if (line.side === "tunesmith") entry.ours = line;
    else entry.peers.push(line);
    cases.set(key, entry);
  }
  return [...cases.values()];
}

function rate(line: Line): string {
  const seconds = (line.median_ms ?? Number.NaN) / 1e3;
  if (line.bytes !== undefined) return `${(line.bytes / seconds / 1e12).toFixed(2)} TB/s`;
  if (line.flops !== undefined) return `${(line.flops / seconds / 1e12).toFixed(0)} TFLOP/s`;
  return "–";
}

type Measured = Line & { median_ms: number };
const measured = (line: Line | undefined): line is Measured => line?.median_ms !== undefined;

export function kernelTable(lines: readonly Line[]): string {
  const limits = ceilings(lines);
  const rows = kernelCases(lines).map(({ case: name, model, ours, peers }) => {
    const own = measured(ours)
      ? [digits(ours.median_ms), rate(ours), percent(share(ours, limits))]
      : [String(ours?.error ?? "–"), "–", "–"];
    const others = peers.map((peer) =>
      measured(peer) ? `${peer.side} ${digits(peer.median_ms)}` : `${peer.side}: ${peer.error}`,
    );
    return [name, model, ...own, others.join("; ") || "–"];
  });
  return table(["case", "model", "ms", "rate", "of ceiling", "peers, ms"], rows);
}

const thousands = (quantiles: Quantiles | undefined) =>
  quantiles === undefined ? "–" : `${(quantiles.median / 1e3).toFixed(1)}k`;

export function trainingTable(lines: readonly Line[]): string {
  const limit = ceilings(lines).flopsPerSecond;
  const rows = lines
    .filter(({ part }) => part === "training")
    .map((line) => {
      const flops = typeof line.flops_per_second === "object" ? line.flops_per_second.median : undefined;
      return [
        `${line.scenario}, ${line.workload ?? "–"}${line.gradient_checkpointing === true ? ", checkpointing" : ""}`,
        `${line.side}${line.interleaved === false ? " (alone)" : ""}`,
        String(line.error ?? (line.step_ms === undefined ? "–" : digits(line.step_ms.median))),
        thousands(line.useful_tokens_per_second),
        flops === undefined || limit === undefined ? "–" : percent(flops / limit),
        typeof line.peak_bytes === "number" ? (line.peak_bytes / 2 ** 30).toFixed(1) : "–",
        line.seconds_to_first_step === undefined ? "–" : line.seconds_to_first_step.toFixed(1),
        line.first_loss === undefined ? "–" : line.first_loss.toFixed(4),
      ];
    });
  const head = ["run", "program", "step ms", "useful tokens/s", "of matmul ceiling", "peak GiB", "s to first step"];
  return table([...head, "first loss"], rows);
}

export function checkTable(lines: readonly Line[]): string {
  const suites = lines.filter((line) => line.part === "conformance" && line.cases !== undefined);
  const rows = suites.map(({ stem, dtype, cases, failed, stopped }) => [
    `${stem}`,
    `${dtype}`,
    `${(cases ?? 0) - (failed ?? 0)} of ${cases}${stopped == null ? "" : `, stopped: ${stopped}`}`,
  ]);
  for (const dtype of new Set(lines.filter(({ part }) => part === "golden").map((line) => line.dtype))) {
    const golden = lines.filter((line) => line.part === "golden" && line.dtype === dtype);
    const count = (verdict: string) => golden.filter((line) => line.verdict === verdict).length;
    rows.push([
      "goldens",
      `${dtype}`,
      `${count("passed")} passed, ${count("failed")} failed, ${count("unsupported")} unsupported`,
    ]);
  }
  for (const line of lines.filter(({ part }) => part === "sanitizer"))
    rows.push([
      `${line.tool ?? "sanitizer"} ${line.stem ?? ""}`,
      "bf16",
      String(line.error ?? `exit ${line.exit}: ${line.summary}`),
    ]);
  return table(["check", "dtype", "result"], rows);
}

/** One goal of the project with what this run says about it. */
export interface Goal {
  goal: string;
  verdict: "met" | "missed" | "not measured";
  detail: string;
}

const memoryBound =
  /^(?:rms_norm|swiglu|rope|add$|scale$|copy_columns|cross_entropy|adamw|sgd|dropout|embedding_forward|combine)/;

function judge(goal: string, values: readonly Value[], least: number, unit: string): Goal {
  if (values.length === 0) return { goal, verdict: "not measured", detail: "–" };
  const worst = values.reduce((a, b) => (b.value < a.value ? b : a));
  const missed = values.filter(({ value }) => !(value >= least)).length;
  const detail = `${values.length - missed} of ${values.length}; least ${worst.value.toFixed(2)}${unit} (${worst.name})`;
  return { goal, verdict: missed === 0 ? "met" : "missed", detail };
}

/** A number that a goal is about, and the case it belongs to. */
type Value = { name: string; value: number };

const nameOf = (entry: Case) => `${entry.case}, ${entry.model}`;
const milliseconds = ({ ours }: Case) => ours?.median_ms as number;

/** The time of the fastest of some peers over ours; nothing where none was measured. */
function besidePeers(entry: Case, isPeer: (side: string) => boolean): Value[] {
  const times = entry.peers
    .filter((line) => measured(line) && isPeer(line.side ?? ""))
    .map((line) => line.median_ms as number);
  return times.length === 0 ? [] : [{ name: nameOf(entry), value: Math.min(...times) / milliseconds(entry) }];
}

/** The rate of the cases whose names begin with `prefix`, in 10¹² of `unit` a second. */
const rates = (cases: readonly Case[], prefix: string, unit: "flops" | "bytes"): Value[] =>
  cases
    .filter((entry) => entry.case.startsWith(prefix))
    .map((entry) => ({ name: nameOf(entry), value: (entry.ours?.[unit] ?? 0) / (milliseconds(entry) * 1e9) }));

/** The time of the bare product over that of the product with LoRA. */
function besideBare(entry: Case, cases: readonly Case[]): Value[] {
  const bareName = entry.case.replace("lora", "matmul");
  const bare = cases.find(({ case: other, model }) => other === bareName && model === entry.model);
  return bare === undefined ? [] : [{ name: nameOf(entry), value: milliseconds(bare) / milliseconds(entry) }];
}

/** Whether this run, by its own ceilings and peers, meets the goals of the project. */
export function goals(lines: readonly Line[]): Goal[] {
  const limits = ceilings(lines);
  const cases = kernelCases(lines).filter(({ ours }) => measured(ours));
  const shares = cases
    .filter(
      (entry) =>
        (memoryBound.test(entry.case) && !entry.case.includes("ignored")) || entry.case.includes(" 0% ignored"),
    )
    .flatMap((entry) => {
      const value = share(entry.ours as Line, limits);
      return value === undefined ? [] : [{ name: nameOf(entry), value }];
    });
  const attention = cases.filter((entry) => entry.case.startsWith("attention"));
  const lora = cases.filter((entry) => entry.case.startsWith("lora_forward"));
  return [
    judge("memory-bound kernels reach 85 % of the copy ceiling", shares, 0.85, ""),
    judge(
      "fused linear + cross-entropy reaches 600 TFLOP/s",
      rates(cases, "linear_cross_entropy", "flops"),
      600,
      " TFLOP/s",
    ),
    judge(
      "attention is as fast as FlashAttention-2",
      attention.flatMap((entry) =>
        besidePeers(entry, (side) => side.includes("FlashAttention-2") || side === "flash-attention"),
      ),
      1,
      "×",
    ),
    judge("NF4 dequantisation reaches 2.5 TB/s", rates(cases, "nf4_to_", "bytes"), 2.5, " TB/s"),
    judge(
      "a product with LoRA takes at most 1.05 times the bare one",
      lora.flatMap((entry) => besideBare(entry, cases)),
      1 / 1.05,
      "×",
    ),
    judge("8B QLoRA packed has 1.5 times Unsloth's tokens/s", packedRatios(lines, "unsloth"), 1.5, "×"),
    judge("8B QLoRA packed has 1.5 times the best installed peer's tokens/s", packedRatios(lines), 1.5, "×"),
  ];
}

/** Our tokens per second over the best peer's (or the named one's), workload by workload. */
function packedRatios(lines: readonly Line[], only?: string): Value[] {
  const training = lines.filter((line) => line.part === "training" && line.scenario?.includes("8b-qlora") === true);
  return training
    .filter((line) => line.side === "tunesmith" && line.workload?.startsWith("packed") === true)
    .flatMap((ours) => {
      const same = (line: Line) =>
        line.workload === ours.workload && line.gradient_checkpointing === ours.gradient_checkpointing;
      const peers = training.filter(
        (line) => same(line) && line.side !== "tunesmith" && (only === undefined || line.side === only),
      );
      const rates = peers.flatMap((line) => line.useful_tokens_per_second?.median ?? []);
      const own = ours.useful_tokens_per_second?.median;
      if (own === undefined || rates.length === 0) return [];
      const name = `${ours.workload}${ours.gradient_checkpointing === true ? ", checkpointing" : ""}`;
      return [{ name, value: own / Math.max(...rates) }];
    });
}

export function goalTable(lines: readonly Line[]): string {
  return table(
    ["goal", "verdict", "this run"],
    goals(lines).map(({ goal, verdict, detail }) => [goal, verdict, detail]),
  );
}

/** What a whole run has and this one lacks, in sentences. */
export function gaps(lines: readonly Line[]): string[] {
  const parts = ["probe", "conformance", "goldens", "sanitizer", "kernels", "training"];
  const missing: string[] = parts
    .filter((part) => !lines.some((line) => line.part === "end" && line.name === part))
    .map((part) => `part ${part} did not run to its end`);
  for (const [part, what] of [
    ["conformance", "suite"],
    ["golden", "golden"],
    ["kernel", "kernel"],
    ["training", "step"],
  ] as const) {
    const any = lines.some((line) => line.part === part && typeof line.error !== "string");
    if (!any) missing.push(`no ${what} was measured`);
  }
  for (const line of lines) {
    if (line.part === "conformance" && line.case !== undefined) missing.push(`conformance failed: ${line.case}`);
    if (line.part === "conformance" && line.stopped != null)
      missing.push(`conformance of ${line.stem} stopped: ${line.stopped}`);
    if (line.part === "golden" && line.verdict === "failed")
      missing.push(`golden failed: ${line.case} (${line.dtype})`);
    if (line.part === "sanitizer" && line.exit === 99)
      missing.push(`${line.tool} found something in ${line.stem}: ${line.summary}`);
    if ((line.part === "kernel" || line.part === "training") && line.side === "tunesmith" && line.error !== undefined)
      missing.push(`${line.case ?? line.workload ?? line.scenario}: ${line.error}`);
  }
  return missing;
}

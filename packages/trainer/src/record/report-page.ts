// The report of a run as a page of HTML that needs no other file: figures, findings, curves, answers side by side, data, options.
import {
  bytes,
  duration,
  escapeHtml,
  htmlPage,
  percent,
  plural,
  shortCount,
  shortHash,
  significant,
} from "@tunesmith/core";
import { curveChart } from "./curves.ts";
import type { MetricLine, RunRecord, RunReport } from "./run-record.ts";

const style = `body { font: 15px/1.6 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color-scheme: light dark }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem } table { border-collapse: collapse } td, th { border-top: 1px solid #8884; padding: .3rem .9rem .3rem 0; vertical-align: top; text-align: left; overflow-wrap: anywhere; font-weight: normal }
th { opacity: .7; white-space: nowrap } pre { font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: 0 } svg { width: 100%; height: auto; margin: .4rem 0 }
.wide { overflow-x: auto } .wide td { min-width: 14rem } .warning { color: #9a6700 }`;

/** A page of what a run was and what came of it. */
export function reportPage(run: RunRecord): string {
  const { report, name } = run;
  const sections = [figures(run), findings(report), curves(run), answers(run), data(report), options(run)];
  return htmlPage(name, style, sections.filter((part) => part !== "").join("\n"));
}

/** A table of names with their values; those without a value are left out. */
function table(rows: readonly (readonly [string, string | null])[]): string {
  const cells = rows.flatMap(([name, value]) =>
    value === null ? [] : [`<tr><th>${escapeHtml(name)}<td>${escapeHtml(value)}`],
  );
  return cells.length === 0 ? "" : `<table>\n${cells.join("\n")}\n</table>`;
}

const given = <T>(value: T | null, text: (value: T) => string) => (value === null ? null : text(value));

/** e to the loss: how many tokens the model hesitates between. */
const perplexity = (loss: number) => significant(Math.exp(loss));

function figures({ report, options: { model, data: source }, logs }: RunRecord): string {
  const texts: [string, string | null][] = [
    ["model", given(model ?? null, String)],
    ["data", typeof source === "string" ? source : null],
  ];
  if (report === null)
    return table([...texts, ["state", `not finished, ${plural(logs.at(-1)?.step ?? 0, "step")} logged`]]);
  const { before, after, best, bestStep, metricForBestModel } = report.eval;
  const [was, is] = [before?.evalLoss ?? null, after?.evalLoss ?? null];
  const arrow = (text: (loss: number) => string) =>
    is === null ? null : `${was === null ? "" : `${text(was)} before → `}${text(is)} after`;
  return table([
    ...texts,
    [
      "steps",
      `${report.steps}${report.epochs === null ? "" : `, ${significant(report.epochs)} ${report.epochs === 1 ? "epoch" : "epochs"}`}${report.stoppedBy === "" ? "" : `; ended by ${report.stoppedBy.replaceAll("_", " ")}`}`,
    ],
    ["train loss", given(report.trainLoss, (loss) => `${significant(loss)} (mean over the steps)`)],
    ["eval loss", arrow(significant)],
    ["perplexity", arrow(perplexity)],
    [
      "best",
      best === null || bestStep === null ? null : `${metricForBestModel} ${significant(best)} at step ${bestStep}`,
    ],
    [
      "tokens",
      given(
        report.tokens,
        (tokens) =>
          `${shortCount(tokens)} seen${given(report.tokensPerSecond, (speed) => `, ${Math.round(speed)} a second`) ?? ""}`,
      ),
    ],
    ["time", given(report.seconds, duration)],
    ["time estimate", timeEstimate(report)],
    ["memory", given(report.peakMemoryBytes, (peak) => `${bytes(peak)} of the process at its peak`)],
    ["memory estimate", memoryEstimate(report)],
    ["adapter", given(report.adapterBytes, bytes)],
    ["loss hash", shortHash(report.lossHash)],
    ["chat template", given(report.chatTemplateSha256, shortHash)],
  ]);
}

/** What the engine was said to take before the first step, against what it took. */
function memoryEstimate({ estimatedBytes: said, enginePeakBytes: took }: RunReport): string | null {
  if (said === null || took === null || said === 0) return null;
  return `${bytes(said)} estimated, ${bytes(took)} held by the engine at its peak (${percent(took / said)} of the estimate)`;
}

/** How long the run was said to take after its first steps, against what it took. */
function timeEstimate({ estimatedSeconds: said, estimatedAfterStep: step, seconds: took }: RunReport): string | null {
  if (said === null || step === null || took === null || said === 0) return null;
  return `${duration(said)} estimated after step ${step} (it took ${percent(took / said)} of the estimate)`;
}

function findings(report: RunReport | null): string {
  const { health = [], warnings = [] } = report ?? {};
  if (health.length + warnings.length === 0) return "";
  const rows = [
    ...health.map(({ rule, step, message, remedy, rows: places }) => {
      const where = places.length === 0 ? "" : ` (${places.join(", ")})`;
      return `<tr><th class="warning">${escapeHtml(rule)}<td>step ${step}<td>${escapeHtml(`${message}${where}; ${remedy}`)}`;
    }),
    ...warnings.map((text) => `<tr><th class="warning">warning<td><td>${escapeHtml(text)}`),
  ];
  return `<h2>What to know</h2>\n<table>\n${rows.join("\n")}\n</table>`;
}

/** The places of a metric over the steps. */
export function curveOf(lines: readonly MetricLine[], name: string): [number, number][] {
  return lines.flatMap((line) => (typeof line[name] === "number" ? [[line.step, line[name]] as [number, number]] : []));
}

function curves({ logs, evaluations }: RunRecord): string {
  const losses = [...new Set(evaluations.flatMap((line) => Object.keys(line)))].filter((name) =>
    /^eval_(?:.+_)?loss$/u.test(name),
  );
  const charts = [
    curveChart("loss", [
      { name: "train", points: curveOf(logs, "loss") },
      ...losses.map((name) => ({ name, points: curveOf(evaluations, name) })),
    ]),
    curveChart("learning rate", [{ name: "", points: curveOf(logs, "learning_rate") }]),
    curveChart("gradient norm", [{ name: "before clipping", points: curveOf(logs, "grad_norm") }]),
  ].filter((chart) => chart !== "");
  return charts.length === 0 ? "" : `<h2>Curves</h2>\n${charts.join("")}`;
}

function answers({ samples }: RunRecord): string {
  if (samples.length === 0) return "";
  const steps = [...new Set(samples.map(({ step }) => step))].sort((a, b) => a - b);
  const prompts = [...new Set(samples.map(({ prompt }) => prompt))];
  const hasReference = samples.some(({ reference }) => reference !== null);
  const head = [
    "prompt",
    ...(hasReference ? ["wanted"] : []),
    ...steps.map((step) => (step === 0 ? "before" : `step ${step}`)),
  ];
  const rows = prompts.map((prompt) => {
    const own = samples.filter((sample) => sample.prompt === prompt);
    const cells = [
      prompt,
      ...(hasReference ? [own[0]?.reference ?? ""] : []),
      ...steps.map((step) => own.findLast((sample) => sample.step === step)?.completion ?? ""),
    ];
    return `<tr>${cells.map((cell) => `<td><pre>${escapeHtml(cell)}</pre>`).join("")}`;
  });
  return `<h2>Answers</h2>\n<div class="wide"><table>\n<tr>${head.map((name) => `<th>${escapeHtml(name)}`).join("")}\n${rows.join("\n")}\n</table></div>`;
}

function data(report: RunReport | null): string {
  const sets = [
    ["trained on", report?.data ?? null],
    ["evaluated with", report?.evalData ?? null],
  ] as const;
  const parts = sets.flatMap(([title, of]) => {
    if (of === null) return [];
    const { min, median, p95, max, total } = of.tokens;
    const [first] = of.dropped;
    const rows: [string, string | null][] = [
      [title, `${of.source} (${of.format})`],
      ["rows", of.kept === of.rows ? String(of.rows) : `${of.kept} of ${of.rows}`],
      ["tokens of a row", `${min} least, ${median} median, ${p95} p95, ${max} most; ${shortCount(total ?? 0)} in all`],
      ["trained", percent(of.trainedShare)],
      ["truncated", of.truncated === 0 ? null : `${of.truncated}, ${of.truncatedReplies} of them in the answer`],
      ["duplicates", of.duplicates === 0 ? null : String(of.duplicates)],
      [
        "left out",
        first === undefined ? null : `${of.rows - of.kept}, the first ${first.source}:${first.line}: ${first.reason}`,
      ],
    ];
    return [table(rows)];
  });
  return parts.length === 0 ? "" : `<h2>Data</h2>\n${parts.join("\n")}`;
}

function options({ options: all }: RunRecord): string {
  const rows = Object.entries(all).map(
    ([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)] as const,
  );
  return `<h2>Options</h2>\n<details><summary>${plural(rows.length, "option")}</summary>${table(rows)}</details>`;
}

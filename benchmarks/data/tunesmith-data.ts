// One preparation in a process of its own: `tunesmith-data.ts ROWS MODEL [CACHE]` writes what it took as a line of JSON.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseOptions, sftConfigSchema } from "@tunesmith/core";
import { pack, prepare, TrainingRows } from "@tunesmith/data";
import { loadTokenizer } from "@tunesmith/native";
import { epochBatches } from "../../packages/trainer/src/loop/epoch-batches.ts";

const [rows = "", model = "", folder] = process.argv.slice(2);
const tokenizer = await loadTokenizer(model);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const start = performance.now();
const { examples, report } = await prepare(rows, tokenizer, {
  name: "rows",
  datasetFormat: "auto",
  datasetTextField: "text",
  maxLength: 1024,
  assistantOnlyLoss: true,
  completionOnlyLoss: null,
  cache: folder === undefined ? null : { folder, minBytes: 0 },
});
const prepared = performance.now();
const packing = await pack(examples.lengths, 1024, "bfd");
const end = performance.now();
const peak = process.resourceUsage().maxRSS * 1024;
// Not of the time and memory that are compared, but of the longest pause: what else is done with all rows before a first step.
await pack(examples.lengths, 1024, "best_fit");
for (const trainSamplingStrategy of ["random", "group_by_length", "staged"] as const) {
  const args = parseOptions(sftConfigSchema, { trainSamplingStrategy, perDeviceTrainBatchSize: 8 });
  const { batches } = await epochBatches(args, new TrainingRows(examples));
  for await (const _ of batches.steps(0)) break;
}
delay.disable();
const result = {
  seconds: (end - start) / 1000,
  pack_seconds: (end - prepared) / 1000,
  rows: report.kept,
  tokens: report.tokens.total,
  packed_rows: packing.report.rows,
  from_cache: report.fromCache ?? false,
  peak_rss_bytes: peak,
  longest_pause_ms: delay.max / 1e6,
};
process.stdout.write(`${JSON.stringify(result)}\n`);

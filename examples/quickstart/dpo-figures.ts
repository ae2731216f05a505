// The figures of `npm run example:dpo` in docs/dpo.md, out of the file that it wrote.
import { existsSync, readFileSync } from "node:fs";

/** What the example writes, as far as the page shows it. */
export interface DpoFigures {
  model: string;
  rows: { train: number; heldOut: number };
  args: { learningRate: number; beta: number; lossType: readonly string[]; perDeviceTrainBatchSize: number };
  steps: number;
  before: DpoEvaluation;
  after: DpoEvaluation;
  exactMatch: { before: number; after: number };
  health: readonly { rule: string; step: number }[];
}

/** An evaluation on the held-out pairs. */
interface DpoEvaluation {
  margin: number;
  accuracy: number;
  logpsChosen: number;
  logpsRejected: number;
}

const [begin, end] = ["<!-- figures of example:dpo -->", "<!-- end of the figures -->"];

/** The page with the figures between its two marks; without a file it says that none were measured. */
export function withFigures(page: string, path: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from)
    throw new Error(`expected ${begin} and ${end} in docs/dpo.md, got neither; put them back`);
  const text = existsSync(path) ? figures(JSON.parse(readFileSync(path, "utf8")) as DpoFigures) : none;
  return `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`;
}

const none =
  "No figures of it are committed yet: they are measured by `npm run example:dpo -- --json benchmarks/results/dpo.json`.";

function figures({ model, rows, args, steps, before, after, exactMatch, health }: DpoFigures): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const nats = (value: number) => value.toFixed(2);
  const told = health.map(({ rule, step }) => `\`${rule}\` at step ${step}`).join(", ");
  const { beta, lossType, learningRate } = args;
  return `${model}, ${steps} steps of ${args.perDeviceTrainBatchSize} pairs, each of ${rows.train} pairs once, beta ${beta}, learning rate ${learningRate}, loss ${lossType.join(" and ")}; measured on ${rows.heldOut} held-out pairs and messages ([dpo.json](../benchmarks/results/dpo.json)). ${told === "" ? "The rules of its health found nothing." : `The rules of its health found ${told}.`}

| | before | after |
| --- | --- | --- |
| margin of held-out pairs | ${nats(before.margin)} | ${nats(after.margin)} |
| held-out pairs right | ${percent(before.accuracy)} (a tie is none) | ${percent(after.accuracy)} |
| log p of right answers, nats | ${nats(before.logpsChosen)} | ${nats(after.logpsChosen)} |
| log p of mistaken answers, nats | ${nats(before.logpsRejected)} | ${nats(after.logpsRejected)} |
| exact answers | ${percent(exactMatch.before)} | ${percent(exactMatch.after)} |`;
}

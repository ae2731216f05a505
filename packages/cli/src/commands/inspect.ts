// `tunesmith inspect data`: what a run would train on, token by token.
import { OptionError, onlyGiven, refuseInput, replaceFile, sortOptions, terminalText } from "@tunesmith/core";
import { explainRows } from "@tunesmith/sdk";
import pc from "picocolors";
import { readConfigFile } from "../config-file.ts";
import { trainingSchemas } from "../flags.ts";
import { describeData, describeTemplate } from "../view/data-line.ts";
import { display } from "../view/display.ts";
import { tokenLegend, tokenLines } from "../view/tokens.ts";
import { tokenPage } from "../view/tokens-html.ts";
import { openModel, revisionOf } from "./load-model.ts";
import { openDatasets, pathIn, pathsOf } from "./open-datasets.ts";
import { withPresetModel } from "./preset.ts";
import type { Streams } from "./train.ts";

/** `tunesmith inspect data`. Gives the exit code. */
export async function inspectData(
  file: string | undefined,
  flags: Record<string, unknown>,
  { out, err }: Streams,
): Promise<number> {
  const { config, examples: count = "3", ids = false, loss = false, html, ...given } = flags;
  const fromFile = config === undefined ? {} : await readConfigFile(config as string);
  const all = { ...fromFile, ...given, ...(file !== undefined && { data: file }) };
  const { inputs, place, args, modelConfig } = sortOptions(
    trainingSchemas,
    withPresetModel(all, "tunesmith inspect data"),
    "tunesmith inspect data",
  );
  const name = required("--model", inputs.model, "a model's path or ORG/NAME");
  const data = required("data", inputs.data, "a file of rows");
  const examples = Number(count);
  if (!Number.isInteger(examples) || examples < 1)
    throw new OptionError(`[--examples] expected a whole number above 0, got "${String(count)}"; correct it`);
  const [page] = pathIn(html);
  if (page !== undefined) await refuseInput(page, [...pathsOf(data), ...pathIn(config), ...pathIn(name)]);
  const model = await openModel(name, err, { ...place, ...modelConfig, ...revisionOf(inputs.modelRevision) });
  const session = loss === true ? await model.createGenerator() : undefined;
  try {
    const options = { model, args: onlyGiven(args, all), examples, ...(session !== undefined && { session }) };
    const { trainDataset } = await openDatasets(data, null, err);
    const { rows, report, warnings, chatTemplateSha256 } = await explainRows(trainDataset, options);
    const view = { ids: ids === true };
    out.write(`data   ${describeData(report)}\nprompt ${describeTemplate(chatTemplateSha256)}\n`);
    for (const warning of warnings) err.write(`${pc.yellow("warning:")} ${terminalText(warning)}\n`);
    if (page === undefined) {
      out.write(`${tokenLegend}\n`);
      for (const row of rows) out.write(`\n${tokenLines(row, view)}`);
      return 0;
    }
    await replaceFile(page, tokenPage(report.source, rows, view));
    out.write(`saved  ${terminalText(display(page))}\n`);
    return 0;
  } finally {
    session?.dispose();
  }
}

function required<T>(name: string, value: T | null, what: string): T {
  if (value !== null) return value;
  throw new OptionError(`[${name}] expected ${what}, got nothing; give it, or put it into the --config file`);
}

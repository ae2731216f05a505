// `tunesmith doctor data`: what in a data set would do harm to a training.
import { resolve } from "node:path";
import {
  expandHome,
  OptionError,
  onlyGiven,
  refuseInput,
  replaceFile,
  sortOptions,
  terminalText,
} from "@tunesmith/core";
import { type AuditCode, type AuditOptions, auditCodes, auditDataset, type Judge } from "@tunesmith/sdk";
import { readConfigFile } from "../config-file.ts";
import { trainingSchemas } from "../flags.ts";
import { auditPage } from "../view/audit-html.ts";
import { auditLines } from "../view/audit-lines.ts";
import { display } from "../view/display.ts";
import { describeModel, revisionOf } from "./load-model.ts";
import { asOneSet, openDataset, pathIn, pathsOf } from "./open-datasets.ts";
import type { Streams } from "./train.ts";
import { choice, endpointKey } from "./write.ts";

/** `tunesmith doctor data`. Exit code 1 where a finding is an error. */
export async function doctorData(
  file: string | undefined,
  flags: Record<string, unknown>,
  { out, err }: Streams,
): Promise<number> {
  const { config, json = false, html, fix, ignore, expectedAnswerWords, judge, judgeModel, ...given } = flags;
  const fromFile = config === undefined ? {} : await readConfigFile(config as string);
  const all = { ...fromFile, ...given, ...(file !== undefined && { data: file }) };
  const { inputs, place, args, modelConfig } = sortOptions(trainingSchemas, all, "tunesmith doctor data");
  const { model: name, data, modelRevision } = inputs;
  const evalData = asOneSet(inputs.evalData);
  if (data === null)
    throw new OptionError("[data] expected a file of rows, got nothing; give it, or put it into the --config file");
  const options: AuditOptions = {
    args: onlyGiven(args, all),
    fix: (fix as string | undefined) ?? null,
    ignore: ignore === undefined ? [] : (ignore as string).split(",").map(code),
    judge: judgeOf(judge, judgeModel),
    limits: expectedAnswerWords === undefined ? {} : { expectedAnswerWords: Number(expectedAnswerWords) },
  };
  const page = html === undefined ? null : expandHome(html as string);
  if (page !== null && pathIn(fix).some((path) => resolve(path) === resolve(page)))
    throw new OptionError(`[--html] expected another path than --fix, got ${page} for both; correct one`);
  const inputPaths = [...pathsOf(data), ...pathsOf(evalData ?? []), ...pathIn(config), ...pathIn(name)];
  for (const output of [...pathIn(page), ...pathIn(fix)]) await refuseInput(output, inputPaths);
  const trainDataset = await openDataset(data, err);
  const evalDataset = evalData === null ? null : await openDataset(evalData, err);
  const audit = (model: AuditOptions["model"]) =>
    auditDataset(trainDataset, { ...options, evalDataset, model: model ?? null });
  const report =
    name === null
      ? await audit(null)
      : await describeModel(name, err, { ...place, ...modelConfig, ...revisionOf(modelRevision) }, audit);
  out.write(json === true ? `${terminalText(JSON.stringify(report))}\n` : auditLines(report));
  if (page !== null) {
    await replaceFile(page, auditPage(report));
    (json === true ? err : out).write(`saved  ${terminalText(display(page))}\n`);
  }
  return report.findings.some(({ severity }) => severity === "error") ? 1 : 0;
}

function code(name: string): AuditCode {
  return choice("--ignore", name.trim(), auditCodes);
}

function judgeOf(url: unknown, model: unknown): Judge | null {
  if (url === undefined && model === undefined) return null;
  if (typeof url !== "string" || typeof model !== "string")
    throw new OptionError("[--judge] expected an address and --judge-model, got one of them; give both");
  return { baseUrl: url, model, ...endpointKey() };
}

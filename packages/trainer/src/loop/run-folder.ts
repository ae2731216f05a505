// The files of a run, open for writing.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  CheckpointError,
  expandHome,
  LineFile,
  list,
  OptionError,
  removeLeftovers,
  replaceFile,
} from "@tunesmith/core";
import { stringify } from "yaml";
import { reportPage } from "../record/report-page.ts";
import { configName, readRun } from "../record/run-record.ts";
import { EventFile } from "./event-file.ts";
import { howToResume } from "./how-to-resume.ts";
import type { RunInputs } from "./recipe.ts";

/** The files of a run, open for writing. */
export class RunFolder {
  readonly path: string;
  readonly metrics: LineFile;
  readonly samples: LineFile;
  /** What TensorBoard reads; null where nothing is reported to it. */
  readonly reported: EventFile | null;

  private constructor(path: string, metrics: LineFile, samples: LineFile, reported: EventFile | null) {
    this.path = path;
    this.metrics = metrics;
    this.samples = samples;
    this.reported = reported;
  }

  /**
   * Opens the files in the folder of a run.
   *
   * @param kept sizes to which the line files are cut: what follows was written after the checkpoint that the run goes on from
   * @param reportedFrom the first step that is reported to TensorBoard; null: none is
   */
  static async open(
    path: string,
    kept: { metrics: number; samples: number },
    reportedFrom: number | null = null,
  ): Promise<RunFolder> {
    await removeLeftovers(path);
    const metrics = await LineFile.open(join(path, "metrics.jsonl"), kept.metrics);
    try {
      const samples = await LineFile.open(join(path, "samples.jsonl"), kept.samples);
      try {
        const given = process.env.TENSORBOARD_LOGGING_DIR;
        const folder = given === undefined || given === "" ? join(path, "runs") : expandHome(given);
        const reported = reportedFrom === null ? null : await EventFile.begin(folder, reportedFrom);
        return new RunFolder(path, metrics, samples, reported);
      } catch (error) {
        await samples.close();
        throw error;
      }
    } catch (error) {
      await metrics.close();
      throw error;
    }
  }

  get adapterDir(): string {
    return join(this.path, "adapter");
  }

  /** Writes `config.resolved.yaml`, what the run can be repeated and continued from. */
  async writeConfig(config: object): Promise<void> {
    await replaceFile(join(this.path, configName), stringify(config));
  }

  /** Writes one of the small JSON files of the run. */
  async writeJson(name: "env.json" | "report.json", value: object): Promise<void> {
    await replaceFile(join(this.path, name), `${JSON.stringify(value, null, 2)}\n`);
  }

  /** Writes `report.html` from the files of the run. */
  async writePage(): Promise<void> {
    await replaceFile(join(this.path, "report.html"), reportPage(await readRun(this.path)));
  }

  async close(): Promise<void> {
    await this.metrics.close();
    await this.samples.close();
    await this.reported?.close();
  }

  /** Adds a line of metrics to what is written next. */
  addMetrics(line: { step: number; [name: string]: unknown }): void {
    this.metrics.add(line);
    this.reported?.add(line);
  }

  /** The files that grow with the run. */
  get growing(): readonly (LineFile | EventFile)[] {
    return [this.metrics, this.samples, ...(this.reported === null ? [] : [this.reported])];
  }
}

/** A folder that another run has written results to is never written over. One that got no further than its set-up may be. */
export async function refuseOtherRun(path: string, inputs: RunInputs): Promise<void> {
  const names = await list(path);
  let taken = names.find((name) => name === "adapter" || name === "report.json" || /^checkpoint-\d+$/u.test(name));
  if (taken === undefined && names.includes("metrics.jsonl")) {
    const metrics = await readFile(join(path, "metrics.jsonl"), "utf8");
    if (/"step":[1-9]/u.test(metrics)) taken = "metrics.jsonl";
  }
  if (taken === undefined) return;
  throw new OptionError(
    `[outputDir] expected a folder without another run, got ${path}, which holds ${taken}; choose another folder or continue it with: ${howToResume(path, inputs)}`,
  );
}

/** Without a checkpoint a run begins from the start only where one was begun and has not ended. */
export async function refuseNothingToResume(path: string): Promise<void> {
  const names = await list(path);
  if (!names.includes(configName))
    throw new CheckpointError(
      `[${path}] expected a run to continue, got a folder without a checkpoint and ${configName}; start a new run`,
    );
  if (names.includes("report.json"))
    throw new CheckpointError(
      `[${path}] expected a run to continue, got a finished one that keeps no checkpoint; start a new run with another outputDir`,
    );
}

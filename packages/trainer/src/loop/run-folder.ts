// The files of a run, open for writing.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LineFile, list, makeFolder, OptionError, removeLeftovers, replaceFile } from "@tunesmith/core";
import { stringify } from "yaml";
import { configName } from "./run-config.ts";

/** The files of a run, open for writing. */
export class RunFolder {
  readonly path: string;
  /** Whether this run made the folder. */
  readonly isNew: boolean;
  readonly metrics: LineFile;
  readonly samples: LineFile;

  private constructor(path: string, isNew: boolean, metrics: LineFile, samples: LineFile) {
    this.path = path;
    this.isNew = isNew;
    this.metrics = metrics;
    this.samples = samples;
  }

  /**
   * Makes the folder of a new run, or opens that of a run that goes on.
   *
   * @param resume sizes to which the line files are cut; null for a new run, which must not find another one here
   */
  static async open(path: string, resume: { metrics: number; samples: number } | null): Promise<RunFolder> {
    const isNew = await makeFolder(path);
    if (resume === null) await refuseOtherRun(path);
    await removeLeftovers(path);
    const metrics = await LineFile.open(join(path, "metrics.jsonl"), resume?.metrics ?? 0);
    try {
      const samples = await LineFile.open(join(path, "samples.jsonl"), resume?.samples ?? 0);
      return new RunFolder(path, isNew, metrics, samples);
    } catch (error) {
      await metrics.close();
      throw error;
    }
  }

  get adapterDir(): string {
    return join(this.path, "adapter");
  }

  /** Writes `config.resolved.yaml`. */
  async writeConfig(config: object): Promise<void> {
    await replaceFile(join(this.path, configName), stringify(config));
  }

  /** Writes one of the small JSON files of the run. */
  async writeJson(name: "env.json" | "report.json", value: object): Promise<void> {
    await replaceFile(join(this.path, name), `${JSON.stringify(value, null, 2)}\n`);
  }

  async close(): Promise<void> {
    await this.metrics.close();
    await this.samples.close();
  }
}

/** A folder that another run has written results to is never written over. One that got no further than its set-up may be. */
async function refuseOtherRun(path: string): Promise<void> {
  const names = await list(path);
  let taken = names.find((name) => name === "adapter" || name === "report.json" || /^checkpoint-\d+$/u.test(name));
  if (taken === undefined && names.includes("metrics.jsonl")) {
    const metrics = await readFile(join(path, "metrics.jsonl"), "utf8");
    if (/"step":[1-9]/u.test(metrics)) taken = "metrics.jsonl";
  }
  if (taken === undefined) return;
  throw new OptionError(
    `[outputDir] expected a folder without another run, got ${path}, which holds ${taken}; choose another folder or continue it with: tunesmith resume ${path}`,
  );
}

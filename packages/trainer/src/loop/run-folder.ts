// The files of a run, and the configuration it can be repeated from.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  FileSystemError,
  LineFile,
  list,
  loraConfigSchema,
  makeFolder,
  modelConfigSchema,
  OptionError,
  type ParsedLoraConfig,
  type ParsedModelConfig,
  type ParsedSFTConfig,
  type ResolvedConfig,
  removeLeftovers,
  replaceFile,
  sftConfigSchema,
  sortOptions,
  type WeightOptions,
} from "@tunesmith/core";
import { parse, stringify } from "yaml";

const configName = "config.resolved.yaml";

/** What a run was started with; running it again gives the same run. */
export interface RunConfig {
  /** Path of the model. */
  model: string;
  /** Paths of the data sets; null for data that was given in memory. */
  data: string | null;
  evalData: string | null;
  args: ParsedSFTConfig;
  peftConfig: ParsedLoraConfig;
  modelConfig: ParsedModelConfig;
}

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

  /** Writes `config.resolved.yaml`: model and data paths, then every option under its own name. */
  async writeConfig(
    model: string,
    data: string | null,
    evalData: string | null,
    args: ResolvedConfig,
    peft: ParsedLoraConfig,
    weights: WeightOptions,
  ): Promise<void> {
    const config = { model, data, evalData, ...weights, ...args, ...peft };
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

/** Default run folder: runs/NAME-yyyymmdd-hhmmss. */
export function defaultOutputDir(runName: string | null, modelPath: string, now: Date): string {
  const pad = (value: number) => String(value).padStart(2, "0");
  const date = `${now.getFullYear()}${pad(now.getMonth() + 1)}${pad(now.getDate())}`;
  const time = `${pad(now.getHours())}${pad(now.getMinutes())}${pad(now.getSeconds())}`;
  const name = (runName ?? basename(modelPath)).replaceAll(/[^\w.-]+/gu, "-");
  return join("runs", `${name}-${date}-${time}`);
}

/** Reads the `config.resolved.yaml` of a run folder. Its `outputDir` is the folder itself, wherever that has been moved. */
export async function readRunConfig(runDir: string): Promise<RunConfig> {
  const path = join(runDir, configName);
  let values: Record<string, unknown>;
  try {
    values = parse(await readFile(path, "utf8")) as Record<string, unknown>;
  } catch (cause) {
    throw new FileSystemError(
      `[${path}] expected the configuration of a run, got ${(cause as Error).message}; is ${runDir} a run folder?`,
      { cause },
    );
  }
  const { model, data, evalData, ...options } = values;
  const schemas = { args: sftConfigSchema, peftConfig: loraConfigSchema, modelConfig: modelConfigSchema };
  const { args, peftConfig, modelConfig } = sortOptions(schemas, options, path);
  return {
    model: model as string,
    data: data as string | null,
    evalData: evalData as string | null,
    args: { ...args, outputDir: runDir },
    peftConfig,
    modelConfig,
  };
}

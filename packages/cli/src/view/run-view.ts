// Shows the events of a run to a person.
import { basename } from "node:path";
import { terminalText } from "@tunesmith/core";
import {
  adviseTraining,
  type DifficultyReport,
  type EvalEvent,
  healthText,
  type LanguageModel,
  type PreparedEvent,
  type SFTMetrics,
  type StepEvent,
  type StopReason,
  type TrainEvent,
  type TrainResult,
} from "@tunesmith/sdk";
import pc from "picocolors";
import { describeData } from "./data-line.ts";
import { deviceName } from "./device.ts";
import { display } from "./display.ts";
import { bytes, count, duration, percent, plural, significant } from "./format.ts";
import { measuringLine, preparingLine } from "./preparing-line.ts";
import { Progress } from "./progress.ts";
import { type Output, Screen } from "./screen.ts";
import { sparkline } from "./sparkline.ts";

/** Shows the events of a run to a person. */
export class RunView {
  readonly #screen: Screen;
  readonly #model: LanguageModel;
  readonly #progress = new Progress();
  readonly #nameOf: (backend: string) => string;
  /** Bytes of the GPU that were held before the first step; null on the CPU, whose memory is the process's. */
  #reserved: number | null = null;

  /** @param nameOf what a device is called. Default: with the name of the GPU */
  constructor(out: Output, model: LanguageModel, nameOf = (backend: string) => deviceName(backend)) {
    this.#nameOf = nameOf;
    this.#screen = new Screen(out);
    this.#model = model;
  }

  show(event: TrainEvent<SFTMetrics>): void {
    switch (event.type) {
      case "preparing":
        this.#screen.status(preparingLine(event));
        break;
      case "prepared":
        this.#screen.clear();
        this.#prepared(event);
        break;
      case "measuring":
        this.#screen.status(measuringLine(event));
        break;
      case "step":
        this.#step(event);
        break;
      case "eval":
        this.#eval(event);
        break;
      case "sample":
        this.#screen.print(
          `${pc.dim(`sample at step ${event.step}:`)} ${oneLine(event.prompt)} ${pc.dim("→")} ${oneLine(event.completion)}`,
        );
        break;
      case "checkpoint":
        this.#screen.print(pc.dim(`saved ${display(event.path)}`));
        break;
      case "warning":
        this.#screen.print(`${pc.yellow("warning:")} ${terminalText(event.message)}`);
        break;
      case "health":
        this.#screen.print(`${pc.yellow("health:")} ${terminalText(healthText(event))}`);
        break;
      case "note":
        this.#screen.print(pc.dim(terminalText(event.message)));
        break;
      case "done":
        this.#done(event.result);
        break;
      default:
        // metrics.jsonl holds these; the step line shows the same.
        break;
    }
  }

  /** A line between the events. */
  print(line: string): void {
    this.#screen.print(line);
  }

  /** Ends the status line, so that what comes next starts on a line of its own. */
  settle(): void {
    this.#screen.settle();
  }

  #prepared({ runDir, step, totalSteps, session, memory, data, evalData, evalSets }: PreparedEvent): void {
    const { modelType, origin, path } = this.#model.info;
    const share = percent(session.trainableParameters / session.totalParameters);
    const trained = `${count(session.trainableParameters)} trained (${share})`;
    this.#screen.print(
      `model  ${terminalText(origin?.name ?? basename(path))} (${modelType}), ${count(session.totalParameters)} parameters, ${trained}, ${this.#nameOf(session.backend)}`,
    );
    if (session.backend !== "cpu") {
      this.#reserved = memory.inUse;
      this.#screen.print(`memory ${bytes(memory.inUse)} of the device reserved before the first step`);
    }
    this.#screen.print(`data   ${describeData(data)}`);
    for (const [name, report] of Object.entries(evalSets ?? {}))
      this.#screen.print(`eval   ${name}: ${describeData(report)}`);
    if (evalData !== null && evalSets === undefined) this.#screen.print(`eval   ${describeData(evalData)}`);
    if (step === 0 && data.streamed !== true) this.#screen.print(adviceLine(data, this.#model, session));
    const from = step > 0 ? `, from step ${step}` : "";
    this.#screen.print(`run    ${display(runDir)}, ${plural(totalSteps, "step")}${from}`);
  }

  #step(event: StepEvent): void {
    this.#progress.add(event, performance.now());
    this.#screen.status(this.#progress.line(event, this.#screen.width), { last: event.step === event.totalSteps });
  }

  #eval(event: EvalEvent<SFTMetrics>): void {
    const best = event.best ? pc.green("  best so far") : "";
    const accuracy = percent(event.evalMeanTokenAccuracy);
    this.#screen.print(
      `${pc.bold("eval")} ${event.dataset === undefined ? "" : `${event.dataset} `}at step ${event.step}  loss ${significant(event.evalLoss)}  token accuracy ${accuracy}${best}`,
    );
  }

  #done(result: TrainResult<SFTMetrics>): void {
    const {
      metrics,
      globalStep,
      trainingLoss,
      evalBefore,
      evalAfter,
      runDir,
      adapterDir,
      stoppedBy,
      lossHash,
      difficulty,
    } = result;
    this.#screen.settle();
    const before = evalBefore === null ? "" : `${significant(evalBefore.evalLoss)} before → `;
    const why = reasons[stoppedBy] ?? "";
    const speed = `${Math.round(metrics.trainTokensPerSecond)} tokens/s`;
    const { losses } = this.#progress;
    const memory = `peak memory ${bytes(metrics.peakMemoryBytes)}`;
    const done = `${pc.green("done")}   ${plural(globalStep, "step")} in ${duration(metrics.trainRuntime)}${why}, ${speed}, ${memory}`;
    const finished = `${pc.green("finished")} before: ${plural(globalStep, "step")}${why}; nothing was trained now`;
    const curve = losses.length === 0 ? "" : `${sparkline(losses, 40)}  `;
    const lines = [
      losses.length === 0 ? finished : done,
      `loss   ${curve}mean ${significant(trainingLoss)}, hash ${lossHash.slice(0, 12)}`,
      ...(this.#reserved === null ? [] : [`memory ${deviceMemory(this.#reserved, metrics.enginePeakBytes)}`]),
      ...(difficulty === null ? [] : [difficultyLine(difficulty)]),
      ...(evalAfter === null ? [] : [`eval   loss ${before}${significant(evalAfter.evalLoss)} after`]),
      `saved  ${display(adapterDir)}`,
      `next   ${pc.bold(`tunesmith chat ${display(runDir)}`)}`,
    ];
    for (const line of lines) this.#screen.print(line);
  }
}

/** Why a run ended before its last step. */
const reasons: Partial<Record<StopReason, string>> = {
  early_stopping: ", stopped early",
  callback: ", stopped by a callback",
};

/** What is usual for these rows, beside what was asked for. */
function adviceLine(
  data: PreparedEvent["data"],
  { info }: LanguageModel,
  { adapterModules }: PreparedEvent["session"],
): string {
  const advice = adviseTraining(data, info, { fullFinetuning: adapterModules === null });
  const { numTrainEpochs, maxLength, perDeviceTrainBatchSize, gradientAccumulationSteps, learningRate } = advice;
  const batch = `batch ${perDeviceTrainBatchSize} × ${gradientAccumulationSteps}`;
  return pc.dim(
    `usual  ${plural(numTrainEpochs, "epoch")}, max length ${maxLength}, ${batch}, rate ${learningRate}: ${plural(data.kept, "row")}, for ${advice.expected} (--auto takes what is not set)`,
  );
}

/** What it took to order rows by what the model finds hard. */
function difficultyLine({ difficulty, rows, measured, fromCache, tokens, seconds }: DifficultyReport): string {
  const cached = fromCache === 0 ? "" : ` (${fromCache} from the cache)`;
  return `order  ${difficulty} of ${plural(rows, "row")} measured ${plural(measured, "time")}${cached}, ${count(tokens)} tokens in ${duration(seconds)}`;
}

function deviceMemory(reserved: number, peak: number): string {
  return `${bytes(peak)} of the device at the most, ${bytes(Math.max(0, peak - reserved))} of it for training`;
}

function oneLine(text: string): string {
  return terminalText(text.replaceAll(/\s+/gu, " ").trim());
}

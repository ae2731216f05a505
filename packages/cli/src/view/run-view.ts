// Shows the events of a run to a person.
import { basename } from "node:path";
import { terminalText } from "@tunesmith/core";
import {
  adviseTraining,
  type DPOMetrics,
  type EvalEvent,
  healthText,
  type LanguageModel,
  type LogEvent,
  type PreparedEvent,
  type PreparingEvent,
  type SFTMetrics,
  type StepEvent,
  type TrainEvent,
  type TrainResult,
} from "@tunesmith/sdk";
import pc from "picocolors";
import { describeData, describeTemplate } from "./data-line.ts";
import { deviceName } from "./device.ts";
import { display } from "./display.ts";
import { bytes, count, percent, plural, significant } from "./format.ts";
import { pairFields } from "./pair-fields.ts";
import { measuringLine, preparingLine, referenceLine } from "./preparing-line.ts";
import { Progress } from "./progress.ts";
import { type Output, Screen } from "./screen.ts";
import { summaryLines } from "./summary-lines.ts";

/** Metrics of any trainer of the command line. */
type ShownMetrics = SFTMetrics | DPOMetrics;

/** Shows the events of a run to a person. */
export class RunView {
  readonly #screen: Screen;
  readonly #model: LanguageModel;
  readonly #progress = new Progress();
  readonly #nameOf: (backend: string) => string;
  readonly #advises: boolean;
  /** The last step, whose line the numbers of its log line still come into. */
  #newest: StepEvent | null = null;
  /** What the newest log line says of pairs; empty of a run without. */
  #pairs = "";
  /** Bytes of the GPU that were held before the first step; null on the CPU, whose memory is the process's. */
  #reserved: number | null = null;

  /**
   * @param options `nameOf`: what a device is called, by default with the name of the GPU; `advises`: whether it is said what is usual for
   * the rows, which is known of supervised fine-tuning alone, by default true
   */
  constructor(
    out: Output,
    model: LanguageModel,
    options: { nameOf?: (backend: string) => string; advises?: boolean } = {},
  ) {
    const { nameOf = (backend: string) => deviceName(backend), advises = true } = options;
    this.#nameOf = nameOf;
    this.#advises = advises;
    this.#screen = new Screen(out);
    this.#model = model;
  }

  show(event: TrainEvent<SFTMetrics | DPOMetrics>): void {
    switch (event.type) {
      case "preparing":
        this.#preparing(event);
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
      case "log":
        this.#log(event);
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
        // What the lines of steps, evaluations and the end say as well.
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

  #preparing(event: PreparingEvent): void {
    const known = referenceLine(event);
    if (known === null) this.#screen.status(preparingLine(event));
    else this.#screen.print(known);
  }

  #prepared({ runDir, step, totalSteps, session, memory, data, evalData, evalSets, ...found }: PreparedEvent): void {
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
    this.#screen.print(`prompt ${describeTemplate(found.chatTemplateSha256)}`);
    if (this.#advises && step === 0 && data.streamed !== true)
      this.#screen.print(adviceLine(data, this.#model, session));
    const from = step > 0 ? `, from step ${step}` : "";
    this.#screen.print(`run    ${display(runDir)}, ${plural(totalSteps, "step")}${from}`);
  }

  #step(event: StepEvent): void {
    this.#progress.add(event, performance.now());
    this.#newest = event;
    this.#status(event, event.step === event.totalSteps);
  }

  /** metrics.jsonl holds these, and the line of the step shows the same but for what is of pairs. */
  #log(event: LogEvent<ShownMetrics>): void {
    if (!("rewards/margins" in event)) return;
    this.#pairs = pairFields(event["rewards/accuracies"], event["rewards/margins"]);
    if (this.#newest !== null) this.#status(this.#newest, false);
  }

  #status(event: StepEvent, last: boolean): void {
    const about = { onGpu: this.#reserved !== null, pairs: this.#pairs };
    this.#screen.status(this.#progress.line(event, this.#screen.width, about), { last });
  }

  #eval(event: EvalEvent<ShownMetrics>): void {
    const best = event.best ? pc.green("  best so far") : "";
    const { "evalRewards/margins": margin, "evalRewards/accuracies": preferred } = event;
    const accuracy =
      margin === undefined || preferred === undefined
        ? `token accuracy ${percent(event.evalMeanTokenAccuracy)}`
        : pairFields(preferred, margin);
    this.#screen.print(
      `${pc.bold("eval")} ${event.dataset === undefined ? "" : `${event.dataset} `}at step ${event.step}  loss ${significant(event.evalLoss)}  ${accuracy}${best}`,
    );
  }

  #done(result: TrainResult<ShownMetrics>): void {
    this.#screen.settle();
    for (const line of summaryLines(result, this.#progress.losses, this.#reserved)) this.#screen.print(line);
  }
}

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

function oneLine(text: string): string {
  return terminalText(text.replaceAll(/\s+/gu, " ").trim());
}

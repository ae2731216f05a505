// An estimate as lines: where the memory goes, where the run fits, how fast it would be and what that costs.
import type { FitEstimate, LargestBatch, MemoryEstimate, SpeedEstimate } from "@tunesmith/sdk";
import { mostBatchRows } from "@tunesmith/trainer";
import { deviceName } from "./device.ts";
import { bytes, count, duration, plural, significant } from "./format.ts";

/** What a measured speed costs, in US dollars. */
export interface Cost {
  usdPerHour: number;
  perMillionTokens: number;
  /** Of all steps; null where epochs decide how many there are. */
  run: number | null;
}

/** What a run costs at a price by the hour. */
export function costOf({ runSeconds, tokensPerSecond }: SpeedEstimate, usdPerHour: number): Cost {
  const usdPerSecond = usdPerHour / 3600;
  return {
    usdPerHour,
    perMillionTokens: (usdPerSecond * 1e6) / tokensPerSecond,
    run: runSeconds === null ? null : usdPerSecond * runSeconds,
  };
}

type Line = readonly [label: string, value: string];

/** Lines of labels and values. */
export function linesOf(lines: readonly Line[]): string {
  return lines.map(([label, value]) => `${label.padEnd(13)} ${value}\n`).join("");
}

/** Where the memory of a run goes. */
export function memoryLines({ plan, pass, needed, free, gradientCheckpointing }: MemoryEstimate): Line[] {
  const where = plan.device === "cpu" ? "host" : `${plan.device} device`;
  return [
    ["device", deviceName(plan.device)],
    ["model", `${count(plan.totalParameters)} parameters, ${count(plan.trainableParameters)} trained`],
    ["largest pass", `${plural(pass.tokens, "token")}, sequences of ${pass.longest}`],
    ["weights", bytes(plan.weights)],
    ["trained", bytes(plan.trained)],
    ["gradients", bytes(plan.gradients)],
    ["optimizer", bytes(plan.optimizer)],
    ["activations", `${bytes(plan.activations)}${gradientCheckpointing ? ", layers computed again" : ""}`],
    ["needed", `${bytes(needed)} of ${bytes(free)} free on the ${where}`],
  ];
}

const rowsOf = ({ perDeviceTrainBatchSize, tokenBudget }: LargestBatch) =>
  `${plural(perDeviceTrainBatchSize, "row")} of ${tokenBudget / perDeviceTrainBatchSize} tokens`;

/** The largest batch here, and which GPUs a run fits. */
export function fitLines({ layout, gradientCheckpointing, largestBatch, gpus }: FitEstimate): Line[] {
  const again = gradientCheckpointing ? ", layers computed again" : "";
  const here =
    largestBatch === null
      ? "not one row fits"
      : `${largestBatch.perDeviceTrainBatchSize === mostBatchRows ? "at least " : ""}${rowsOf(largestBatch)} in one pass (perDeviceTrainBatchSize ${largestBatch.perDeviceTrainBatchSize}, tokenBudget ${largestBatch.tokenBudget})${again}`;
  const planned = layout === "cpu" ? "planned with the CPU's layout; " : "";
  return [
    ["largest batch", here],
    ["known GPUs", `${planned}of the memory of each 5 % and 256 MiB are left free${again}`],
    ...gpus.map((gpu): Line => [`  ${gpu.gigabytes} GB`, `${gpu.fits ? "fits" : "does not fit"} (${gpu.names})`]),
  ];
}

/** A measured speed, the time of a run, and what it costs. */
export function speedLines(speed: SpeedEstimate, cost: Cost | null): Line[] {
  const { device, rows, rowTokens, warmPasses, measuredPasses, passSeconds, updateSeconds } = speed;
  const passes = `${measuredPasses} passes of ${plural(rows, "row")} of ${rowTokens} tokens after ${warmPasses} to warm up`;
  const { stepRows, stepSeconds, runSeconds, tokensPerSecond } = speed;
  const step = `${significant(stepSeconds, 3)} s for a step of ${plural(stepRows, "row")}`;
  const run = runSeconds === null ? "" : `, ${duration(runSeconds)} for ${Math.round(runSeconds / stepSeconds)} steps`;
  const lines: Line[] = [
    ["speed", `${significant(tokensPerSecond, 3)} tokens/s on ${device}, measured in ${passes}`],
    ["", `${significant(passSeconds, 3)} s a pass, ${significant(updateSeconds, 3)} s an update`],
    ["time", `${step}${run}, without evaluations and checkpoints`],
  ];
  if (cost === null) return lines;
  const whole = cost.run === null ? "" : `, $${significant(cost.run, 3)} for the run`;
  const price = `$${significant(cost.usdPerHour)} an hour`;
  return [...lines, ["cost", `$${significant(cost.perMillionTokens, 3)} for a million tokens${whole}, at ${price}`]];
}

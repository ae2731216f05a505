// How a run that makes rows goes on, and its report, as lines for a terminal.
import { terminalText } from "@tunesmith/core";
import type { SelfInstructEvent, SelfInstructReport, StepReport } from "@tunesmith/sdk";
import pc from "picocolors";
import { display } from "./display.ts";
import { plural } from "./format.ts";

/** `instructions  34/100  15 requests`, and so on with the other steps. */
export function synthStatus(event: SelfInstructEvent & { type: "request" }, wanted = 100): string {
  const { step, requests, total, kept, resumed } = event;
  const done = total === null ? `${kept}/${wanted}` : `${requests}/${total}`;
  const more = total === null ? plural(requests, "request") : step === "instances" ? `${kept} kept` : "";
  return [pc.bold(step), done, more, resumed ? "(answered before)" : ""].filter((part) => part !== "").join("  ");
}

/** The report with the counts of every filter, and what to do next. */
export function synthLines(report: SelfInstructReport, model: string): string {
  const { steps, classification, withoutInstance, rows, seeds, files } = report;
  const { yes, no, unclear } = classification;
  const notes: Partial<Record<StepReport["step"], string>> = {
    classification: `${yes} with labels, ${no} without, ${unclear} unclear`,
    instances: `${plural(withoutInstance, "instruction")} without any`,
    rows: `${rows.generated} generated, ${rows.seeds} of ${plural(seeds, "seed")}`,
  };
  const lines = steps.flatMap((step) => stepLines(step, notes[step.step]));
  if (files !== null) {
    lines.push(
      `saved          ${display(files.rows)}`,
      `               ${display(files.tasks)} (seeds for another run), ${display(files.journal)} (the replies)`,
      `next           ${pc.bold(`tunesmith doctor data ${display(files.rows)}`)}`,
      `               ${pc.bold(`tunesmith train --model ${terminalText(model)} --data ${display(files.rows)}`)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function stepLines(
  { step, requests, candidates, kept, surplus, filters }: StepReport,
  note: string | undefined,
): string[] {
  const parts = [
    ...(requests > 0 ? [plural(requests, "request")] : []),
    `${plural(candidates, "candidate")}, ${kept} kept`,
    ...(surplus > 0 ? [`${surplus} not needed`] : []),
    ...(note === undefined ? [] : [note]),
  ];
  const counted = filters.map(({ name, what, enabled, dropped }) => {
    const count = enabled ? String(dropped) : "off";
    return `  ${name.padEnd(20)} ${count.padStart(5)}  ${pc.dim(what)}`;
  });
  return [`${pc.bold(step.padEnd(14))} ${parts.join("; ")}`, ...counted];
}

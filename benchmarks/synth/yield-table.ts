// The yield of each filter and generator as a table of Markdown.
import type { Yield } from "./self-instruct.ts";

/** One row per count and filter, one column per generator. */
export function yieldTable(yields: readonly Yield[]): string {
  const [first] = yields;
  const steps = first?.report.steps ?? [];
  const at = (n: number) => yields.map(({ report }) => report.steps[n]);
  const lines = steps.flatMap(({ step, filters }, n) => {
    const counts = (name: "requests" | "candidates" | "kept" | "surplus") => at(n).map((one) => one?.[name] ?? 0);
    const dropped = filters.map(({ name }, f) =>
      row(
        `dropped by \`${name}\``,
        at(n).map((one) => one?.filters[f]?.dropped ?? 0),
      ),
    );
    return [
      ...(step === "rows" ? [] : [row(`**${step}**: requests`, counts("requests"))]),
      row(step === "rows" ? "**rows**: candidates" : "candidates", counts("candidates")),
      ...dropped,
      ...(counts("surplus").some((count) => count > 0) ? [row("not needed", counts("surplus"))] : []),
      row("kept", counts("kept")),
    ];
  });
  const labels = (name: "yes" | "unclear") => yields.map(({ report }) => report.classification[name]);
  const others = [
    row("with labels, of the instructions", labels("yes")),
    row("unclear", labels("unclear")),
    row(
      "instructions without an instance",
      yields.map(({ report }) => report.withoutInstance),
    ),
  ];
  const head = ["| |", ...yields.map(({ generator }) => ` ${generator} |`)].join("");
  return [head, `| --- |${" ---: |".repeat(yields.length)}`, ...lines, ...others].join("\n");
}

function row(name: string, counts: readonly number[]): string {
  return `| ${name} |${counts.map((count) => ` ${count} |`).join("")}`;
}

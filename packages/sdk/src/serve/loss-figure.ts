// The curve of a run as an SVG: training loss, smoothed, and the loss of the held-out rows.

/** A loss at a step. */
export interface LossPoint {
  step: number;
  loss: number;
}

const [width, height, left, bottom] = [640, 260, 52, 30];
const colours = { training: "#4269d0", evaluation: "#ff725c" };

/** The figure; null where there is nothing to draw a line through. */
export function lossFigure(training: readonly LossPoint[], evaluation: readonly LossPoint[]): string | null {
  const smooth = smoothed(training);
  const all = [...smooth, ...evaluation];
  if (all.length < 2) return null;
  const losses = all.map(({ loss }) => loss);
  const [least, most] = [Math.min(...losses), Math.max(...losses)];
  const last = Math.max(...all.map(({ step }) => step));
  const x = (step: number) => left + ((width - left - 12) * step) / Math.max(1, last);
  const y = (loss: number) => 12 + ((height - bottom - 12) * (most - loss)) / Math.max(most - least, 1e-9);
  const line = (points: readonly LossPoint[], colour: string) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points
      .map(({ step, loss }) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`)
      .join(" ")}"/>`;
  const dots = evaluation.map(
    ({ step, loss }) =>
      `<circle cx="${x(step).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="3" fill="${colours.evaluation}"/>`,
  );
  const text = (at: [number, number], content: string, anchor = "start", colour = "#555") =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}" fill="${colour}">${content}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    line(smooth, colours.training),
    line(evaluation, colours.evaluation),
    ...dots,
    text([left - 6, 16], most.toPrecision(3), "end"),
    text([left - 6, height - bottom + 4], least.toPrecision(3), "end"),
    text([left, height - 8], "step 0"),
    text([width - 12, height - 8], `step ${last}`, "end"),
    text([width - 12, 20], "training loss", "end", colours.training),
    ...(evaluation.length === 0 ? [] : [text([width - 12, 36], "held-out loss", "end", colours.evaluation)]),
    "</svg>",
    "",
  ].join("\n");
}

/** Means of neighbouring steps, at most 120 of them. */
function smoothed(points: readonly LossPoint[]): LossPoint[] {
  const size = Math.max(1, Math.ceil(points.length / 120));
  const groups = Array.from({ length: Math.ceil(points.length / size) }, (_, index) =>
    points.slice(index * size, (index + 1) * size),
  );
  return groups.map((group) => ({
    step: group.at(-1)?.step ?? 0,
    loss: group.reduce((sum, { loss }) => sum + loss, 0) / group.length,
  }));
}

// Curves of the curriculum benchmark as SVG: a line for each arm, the mean of its seeds, with their range around it.
import { armNames } from "./arms.ts";
import { type CurriculumResult, runsOf, type Spread, spread } from "./summary.ts";

/** Okabe and Ito's colours, which stay apart for every kind of colour vision. */
const colours = {
  random: "#000000",
  "longest answers": "#e69f00",
  "staged forward": "#0072b2",
  "staged reverse": "#cc79a7",
  "loss-based": "#009e73",
} as const;

const size = { width: 640, height: 300, left: 60, right: 140, top: 14, bottom: 40 } as const;

/** A place on the curve of an arm. */
interface Place {
  tokens: number;
  loss: Spread;
}

/** Eval loss against tokens, from the untrained model on. */
export function lossChart(result: CurriculumResult, set: string): string {
  const before = result.before[set]?.evalLoss ?? Number.NaN;
  const start: Place = { tokens: 0, loss: spread([before]) };
  const curves = armNames.flatMap((arm) => {
    const places = placesOf(result, set, arm);
    return places.length === 0 ? [] : [{ arm, places: [start, ...places] }];
  });
  // The untrained model's loss is far above the rest: the axis ends where the curves are apart, and the lines come in from above.
  const losses = curves.flatMap(({ places }) => places.slice(1).flatMap(({ loss }) => [loss.least, loss.most]));
  const [least, most] = [Math.min(...losses), Math.max(...losses)];
  const room = Math.max(0.1 * (most - least), 1e-3);
  const axes = { budget: result.settings.budget, least: least - room, most: most + room };
  const lines = curves.map(({ arm, places }) => curve(arm, places, axes)).join("");
  const legend = curves.map(({ arm }, n) => legendLine(arm, n)).join("");
  const { width, height } = size;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" role="img" aria-label="Eval loss of ${set} against tokens"><rect width="${width}" height="${height}" fill="#fff"/>${grid(axes)}<svg x="${size.left}" y="${size.top}" width="${width - size.left - size.right}" height="${height - size.top - size.bottom}" viewBox="${size.left} ${size.top} ${width - size.left - size.right} ${height - size.top - size.bottom}">${lines}</svg>${legend}</svg>\n`;
}

/** The evaluations of an arm, each over its seeds; of seeds that are not all in over those that are. */
function placesOf(result: CurriculumResult, set: string, arm: (typeof armNames)[number]): Place[] {
  const runs = runsOf(result, set, arm);
  return (runs[0]?.points ?? []).map((_, n) => {
    const points = runs.flatMap(({ points }) => points[n] ?? []);
    return { tokens: spread(points.map(({ tokens }) => tokens)).mean, loss: spread(points.map((at) => at.evalLoss)) };
  });
}

interface Axes {
  budget: number;
  least: number;
  most: number;
}

const across = (tokens: number, { budget }: Axes) =>
  size.left + ((size.width - size.left - size.right) * tokens) / (1.02 * budget);

const down = (loss: number, { least, most }: Axes) =>
  size.top + ((size.height - size.top - size.bottom) * (most - loss)) / (most - least);

function curve(arm: keyof typeof colours, places: readonly Place[], axes: Axes): string {
  const at = (of: "mean" | "least" | "most") => (place: Place) =>
    `${across(place.tokens, axes).toFixed(1)},${down(place.loss[of], axes).toFixed(1)}`;
  const band = [...places.map(at("most")), ...places.map(at("least")).reverse()].join(" ");
  const colour = colours[arm];
  return `<polygon points="${band}" fill="${colour}" fill-opacity="0.15"/><polyline points="${places.map(at("mean")).join(" ")}" fill="none" stroke="${colour}" stroke-width="1.8"/>`;
}

function grid(axes: Axes): string {
  const losses = [0, 1, 2, 3, 4].map((n) => axes.least + ((axes.most - axes.least) * n) / 4);
  const [left, right, bottom] = [size.left, size.width - size.right, size.height - size.bottom];
  const rows = losses.map((loss) => {
    const y = down(loss, axes).toFixed(1);
    return `<line x1="${left}" x2="${right}" y1="${y}" y2="${y}" stroke="#ddd"/><text x="${left - 6}" y="${y}" dy="4" text-anchor="end">${loss.toFixed(2)}</text>`;
  });
  const columns = [0, 1, 2, 3, 4].map((n) => {
    const tokens = (axes.budget * n) / 4;
    const text = tokens.toLocaleString("en-US");
    return `<text x="${across(tokens, axes).toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${text}</text>`;
  });
  const title = `<text x="${(left + right) / 2}" y="${bottom + 32}" text-anchor="middle">tokens trained on</text>`;
  const measured = `<text x="12" y="${(size.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 12 ${(size.top + bottom) / 2})">eval loss</text>`;
  return [...rows, ...columns, title, measured].join("");
}

function legendLine(arm: keyof typeof colours, n: number): string {
  const [x, y] = [size.width - size.right + 12, size.top + 12 + 18 * n];
  return `<line x1="${x}" x2="${x + 18}" y1="${y}" y2="${y}" stroke="${colours[arm]}" stroke-width="2.5"/><text x="${x + 24}" y="${y}" dy="4">${arm}</text>`;
}

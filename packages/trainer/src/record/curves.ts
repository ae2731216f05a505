// Curves with axes as SVG: static, without a script, the same bytes for the same numbers.
import { escapeHtml, significant } from "@tunesmith/core";

/** A line of a chart. */
export interface Curve {
  name: string;
  /** Places by x; those that are not finite are left out. */
  points: readonly (readonly [x: number, y: number])[];
}

/** Okabe and Ito's colours, which stay apart for every kind of colour vision. */
const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000"] as const;

const size = { width: 720, height: 260, left: 64, right: 16, top: 30, bottom: 38 } as const;

/** Places of a curve at most: neighbours of a longer one are averaged. */
const most = 400;

/** Curves over steps in one chart, with axes, their numbers and a legend. Empty where no curve has a place. */
export function curveChart(title: string, curves: readonly Curve[]): string {
  const shown = curves.map((curve) => ({ ...curve, points: thinned(curve.points) }));
  const all = shown.flatMap(({ points }) => points);
  if (all.length === 0) return "";
  const x = axis(
    all.map(([at]) => at),
    size.left,
    size.width - size.right,
  );
  const y = axis(
    all.map(([, at]) => at),
    size.height - size.bottom,
    size.top,
  );
  const grid = [
    ...y.ticks.map((at) => {
      const place = y.place(at).toFixed(1);
      return `<line x1="${size.left}" x2="${size.width - size.right}" y1="${place}" y2="${place}" stroke="#ddd"/><text x="${size.left - 6}" y="${place}" dy="4" text-anchor="end">${significant(at, 3)}</text>`;
    }),
    ...x.ticks.map(
      (at) =>
        `<text x="${x.place(at).toFixed(1)}" y="${size.height - size.bottom + 16}" text-anchor="middle">${significant(at)}</text>`,
    ),
    `<text x="${(size.left + size.width - size.right) / 2}" y="${size.height - 6}" text-anchor="middle">step</text>`,
  ];
  const lines = shown.map(({ points }, n) => {
    const places = points.map(([at, value]) => `${x.place(at).toFixed(1)},${y.place(value).toFixed(1)}`);
    const dots =
      points.length > 40
        ? ""
        : places.map((place) => `<circle cx="${place.replace(",", '" cy="')}" r="2" fill="${colour(n)}"/>`).join("");
    return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour(n)}" stroke-width="1.6"/>${dots}`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="11" role="img" aria-label="${escapeHtml(title)} over steps"><rect width="${size.width}" height="${size.height}" fill="#fff"/>${grid.join("")}${lines.join("")}${legend(title, shown)}</svg>\n`;
}

const colour = (n: number) => colours[n % colours.length] as string;

function legend(title: string, curves: readonly Curve[]): string {
  const names = curves.map(({ name }, n) => `<tspan fill="${colour(n)}" dx="14">${escapeHtml(name)}</tspan>`);
  return `<text x="${size.left}" y="18" font-weight="bold">${escapeHtml(title)}<tspan font-weight="normal">${names.join("")}</tspan></text>`;
}

interface Axis {
  ticks: readonly number[];
  place(value: number): number;
}

/** From the least to the greatest value in steps of 1, 2 or 5 times a power of ten. */
function axis(values: readonly number[], from: number, to: number): Axis {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const range = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(range / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => range / one <= 5) ?? 10 * power;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor((high + 1e-9 * range) / step) - first + 1;
  // Of decimal fractions the last bits are left out.
  const ticks = Array.from({ length: Math.max(1, count) }, (_, n) => Number(((first + n) * step).toPrecision(12)));
  const [bottom, top] = high === low ? [low - range / 2, high + range / 2] : [low - 0.03 * range, high + 0.03 * range];
  return {
    ticks: high === low ? [low] : ticks,
    place: (value) => from + ((to - from) * (value - bottom)) / (top - bottom),
  };
}

function thinned(points: Curve["points"]): [number, number][] {
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const groups = Math.min(most, finite.length);
  return Array.from({ length: groups }, (_, n) => {
    const part = finite.slice(Math.floor((n * finite.length) / groups), Math.floor(((n + 1) * finite.length) / groups));
    const sum = (of: 0 | 1) => part.reduce((total, point) => total + point[of], 0) / part.length;
    return [sum(0), sum(1)];
  });
}

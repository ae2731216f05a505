// Durations, counts, bytes and shares as people read them.

/** 72 → "1:12", 4000 → "1:06:40". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (value: number) => String(value).padStart(2, "0");
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** 1_500_000 → "1.5 M". */
export function shortCount(value: number): string {
  for (const [unit, name] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= unit) return `${significant(value / unit)} ${name}`;
  }
  return String(value);
}

/** 2_147_483_648 → "2.0 GiB". */
export function bytes(value: number): string {
  for (const [power, name] of [
    [30, "GiB"],
    [20, "MiB"],
    [10, "KiB"],
  ] as const) {
    if (value >= 2 ** power) return `${(value / 2 ** power).toFixed(1)} ${name}`;
  }
  return `${value} B`;
}

/** A loss or norm with four digits: 12.35, 0.01235. */
export function significant(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(digits)));
}

/** The first twelve digits of a SHA-256, which is as much as people compare. */
export function shortHash(sha256: string): string {
  return sha256.slice(0, 12);
}

/** 0.123 → "12.3 %". */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

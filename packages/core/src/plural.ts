// Numbers of things in messages.

/** 1 → "1 step", 2 → "2 steps". */
export function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

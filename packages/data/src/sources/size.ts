// About how large a row in memory would be as JSON.
import { asNumber } from "@tunesmith/core";

/**
 * Bytes of all keys, texts and numbers of a value, and of its commas and brackets. An object that is met again counts once, so
 * that cycles end; counting stops beyond `limit`, where the value is too large anyway.
 */
export function sizeOf(value: unknown, limit: number): number {
  const seen = new Set<object>();
  const waiting = [value];
  let size = 0;
  while (waiting.length > 0 && size <= limit) {
    const next = waiting.pop();
    size += 2 + ownSize(next);
    if (typeof next !== "object" || next === null || ArrayBuffer.isView(next) || seen.has(next)) continue;
    seen.add(next);
    for (const [key, inner] of Object.entries(next)) {
      if (!Array.isArray(next)) size += Buffer.byteLength(key) + 3;
      waiting.push(inner);
    }
  }
  return size;
}

function ownSize(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (ArrayBuffer.isView(value)) return value.byteLength;
  return asNumber(value) === null ? 4 : String(value).length;
}

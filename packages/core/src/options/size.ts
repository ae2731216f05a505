// Sizes of files as people write them.
import { OptionError } from "../errors.ts";

const units: Record<string, number> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Bytes of "5GB", "300MB", "2GiB" or a number, as Hugging Face's max_shard_size reads them. */
export function parseSize(option: string, size: number | string): number {
  const [, digits = "", unit = ""] = /^\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*$/iu.exec(String(size)) ?? [];
  const bytes = Math.floor(Number(digits) * (units[unit.toUpperCase()] ?? Number.NaN));
  const whole = typeof size === "string" || Number.isInteger(size);
  if (digits !== "" && whole && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new OptionError(
    `[${option}] expected a size such as 5GB, 300MB or 2GiB, got ${JSON.stringify(size)}; correct this option`,
  );
}

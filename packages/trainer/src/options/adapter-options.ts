// The options of an adapter that is continued: its own, whatever the defaults are.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { canonicalName, loraConfigSchema, OptionError, type ParsedLoraConfig, verdictOn } from "@tunesmith/core";

/** Options that describe an adapter, and not where it comes from. */
const described = Object.entries(loraConfigSchema.shape).flatMap(([name, option]) =>
  name === "fullFinetuning" || name === "adapterPath" || verdictOn(option) !== null ? [] : [name],
) as (keyof ParsedLoraConfig)[];

/** What PEFT takes where its file says nothing and the default here is another. */
const absent: Partial<ParsedLoraConfig> = { r: 8, loraAlpha: 8 };

/**
 * Options of an adapter that is continued, with what its folder says in the place of the defaults: that is what is trained, and what a run
 * records. Options that were given and say something else are an `OptionError`. A folder that cannot be read is left to the engine, whose
 * error names what is wrong with it.
 */
export function continuedAdapter(peft: ParsedLoraConfig, given: object): ParsedLoraConfig {
  const { adapterPath } = peft;
  if (adapterPath === null) return peft;
  const own = optionsOfFolder(adapterPath);
  const wanted = namesGiven(given).filter((name) => Object.hasOwn(own, name) && !isSame(peft[name], own[name]));
  if (wanted.length > 0) {
    const list = (of: Partial<ParsedLoraConfig>) =>
      wanted.map((name) => `${name} ${JSON.stringify(of[name])}`).join(", ");
    throw new OptionError(
      `[${wanted.join(", ")}] expected nothing beside adapterPath that the adapter settles (${list(own)}), got ${list(peft)}; leave it out, or start a new adapter without adapterPath`,
    );
  }
  return { ...peft, ...own };
}

/** Full fine-tuning has no adapter: options that describe one would do nothing. */
export function refuseAdapterOptions(peft: ParsedLoraConfig, defaults: ParsedLoraConfig): void {
  const [name] = described.filter((one) => !isSame(peft[one], defaults[one]));
  if (name === undefined) return;
  throw new OptionError(
    `[${name}] expected no option of an adapter with fullFinetuning, got ${JSON.stringify(peft[name])}; leave one of them out`,
  );
}

function namesGiven(given: object): (keyof ParsedLoraConfig)[] {
  const names = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [canonicalName(name)]));
  return described.filter((name) => names.includes(name));
}

/** What `adapter_config.json` says, under the names of options; what it says in another way than options do is left out. */
function optionsOfFolder(path: string): Partial<ParsedLoraConfig> {
  let saved: unknown;
  try {
    const file = join(path, "adapter_config.json");
    // A pipe would be waited for.
    saved = statSync(file).isFile() ? JSON.parse(readFileSync(file, "utf8")) : null;
  } catch {
    return {};
  }
  if (typeof saved !== "object" || saved === null) return {};
  const values = new Map(Object.entries(saved).map(([name, value]) => [canonicalName(name), value]));
  const read = described.flatMap((name) => {
    const { data, success } = loraConfigSchema.shape[name].safeParse(
      values.has(name) ? values.get(name) : absent[name],
    );
    return success ? [[name, data]] : [];
  });
  return Object.fromEntries(read);
}

/** One name and a list of it are the same, and so are lists in another order. */
function isSame(a: unknown, b: unknown): boolean {
  const plain = (value: unknown) => JSON.stringify(Array.isArray(value) ? value.toSorted() : value);
  const list = (value: unknown) => (typeof value === "object" || value === "all-linear" ? value : [value]);
  return plain(list(a)) === plain(list(b));
}

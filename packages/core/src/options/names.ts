// Names of options: their spellings, and the name that a misspelt one was meant to be.

/** Other names that options are known by. */
const aliases = new Map([
  ["warmupRatio", "warmupSteps"],
  ["maxSeqLength", "maxLength"],
  ["activationCheckpointing", "gradientCheckpointing"],
  // TRL's command line has the names of several classes on one level.
  ["modelNameOrPath", "model"],
  ["datasetName", "data"],
  ["datasetStreaming", "streaming"],
  ["testSplitSize", "testSize"],
  ["loraR", "r"],
  ["loraTargetModules", "targetModules"],
  ["loraTargetParameters", "targetParameters"],
  ["loraModulesToSave", "modulesToSave"],
  ["loraTaskType", "taskType"],
  ["useBnbNestedQuant", "bnb4bitUseDoubleQuant"],
]);

/** The name of an option given in any accepted spelling: camelCase, snake_case, kebab-case, or an older name. */
export function canonicalName(name: string): string {
  const camel = name.replaceAll(/[_-]+([a-z0-9])/giu, (_, letter: string) => letter.toUpperCase());
  return aliases.get(camel) ?? camel;
}

/** A list whose entries have keys under their canonical names; anything else as it is. */
export function withCanonicalEntries(given: unknown): unknown {
  return Array.isArray(given) ? given.map(withCanonicalNames) : given;
}

function withCanonicalNames(given: unknown): unknown {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return given;
  const entries = Object.entries(given).map(([name, value]) => [canonicalName(name), value] as const);
  // A name in two spellings would lose a value: it is left to be refused.
  return new Set(entries.map(([name]) => name)).size < entries.length ? given : Object.fromEntries(entries);
}

/** learningRate → learning-rate, loadIn4bit → load-in-4bit */
export function kebabCase(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=\d[a-z])/gu, "-").replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
}

/** learningRate → learning_rate, loadIn4bit → load_in_4bit */
export function snakeCase(name: string): string {
  return kebabCase(name).replaceAll("-", "_");
}

/** The known name with the fewest edits, if that is less than half of its letters. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best !== null && least < best.length / 2 ? best : null;
}

/** Levenshtein distance by rows of the dynamic programme. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const substitution = (row[j] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(substitution, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}

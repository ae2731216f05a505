// How long each part of a run took: check and test note their parts, and the table of them all is printed once, at the end.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { seconds } from "./shell.mjs";

/** @typedef {{ suite: string, part: string, milliseconds: number }} Time a check, a test binary, a test file */

/** Parts that took less are summed into one line of their suite. */
const least = 5000;

/** The file that `.ci/run` gives to both of its programs; without it each prints a table of its own. */
const file = process.env.TUNESMITH_TIMES;

/** @type {Time[]} */
const noted = [];

export function note(/** @type {string} */ suite, /** @type {string} */ part, /** @type {number} */ milliseconds) {
  const time = { suite, part, milliseconds };
  if (file === undefined) noted.push(time);
  else appendFileSync(file, `${JSON.stringify(time)}\n`);
}

/**
 * Notes what `work` takes, and resolves to what it resolves to.
 *
 * @template T
 * @param {string} suite
 * @param {string} part
 * @param {() => Promise<T>} work
 */
export async function timed(suite, part, work) {
  const begun = Date.now();
  const result = await work();
  note(suite, part, Date.now() - begun);
  return result;
}

/** The table: suites in the order in which they began, the longest parts first, the short ones as one line. */
export function tableOf(/** @type {readonly Time[]} */ times) {
  const lines = [...new Set(times.map(({ suite }) => suite))].flatMap((suite) => {
    const parts = times.filter((time) => time.suite === suite).sort((a, b) => b.milliseconds - a.milliseconds);
    const long = parts.filter(({ milliseconds }) => milliseconds >= least);
    const short = parts.slice(long.length);
    const rest = { suite, part: `${short.length} others`, milliseconds: sum(short) };
    return short.length > 1 ? [...long, rest] : parts;
  });
  const width = Math.max(...lines.map(({ part }) => part.length));
  return lines.map(
    ({ suite, part, milliseconds }) => `${suite.padEnd(14)}${part.padEnd(width)}${seconds(milliseconds).padStart(9)}`,
  );
}

const sum = (/** @type {readonly Time[]} */ times) => times.reduce((all, { milliseconds }) => all + milliseconds, 0);

/** Prints the table of what this process has noted; nothing where another program gathers it. */
export function printTimes() {
  if (noted.length > 0) console.log(`\n${tableOf(noted).join("\n")}`);
}

/** Prints the table of a file of several programs. */
export function printTimesOf(/** @type {string} */ path) {
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
  if (lines.length > 0) console.log(`\n${tableOf(lines.map((line) => JSON.parse(line))).join("\n")}`);
}

// What every script needs: the root, colours, and one way to run a command. No dependency: these run before `npm ci`.
import { spawn, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository root. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

const colourful = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (/** @type {number} */ code) => (/** @type {string} */ text) =>
  colourful ? `\u001b[${code}m${text}\u001b[0m` : text;
export const bold = paint(1);
export const dim = paint(2);
export const red = paint(31);
export const green = paint(32);
export const yellow = paint(33);

/** Seconds as people read them: `0.4 s`, `71 s`. */
export function seconds(/** @type {number} */ milliseconds) {
  const value = milliseconds / 1000;
  return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;
}

/** A program of node_modules/.bin, run by this Node: no shell, no npx, the same on every platform. */
export const bin = {
  turbo: ["node_modules/turbo/bin/turbo"],
  vitest: ["node_modules/vitest/vitest.mjs"],
  biome: ["node_modules/@biomejs/biome/bin/biome"],
  tsx: ["node_modules/tsx/dist/cli.mjs"],
  tsc: ["node_modules/typescript/bin/tsc"],
  napi: ["node_modules/@napi-rs/cli/dist/cli.js"],
  changeset: ["node_modules/@changesets/cli/bin.js"],
  publint: ["node_modules/publint/src/cli.js"],
  attw: ["node_modules/@arethetypeswrong/cli/dist/index.js"],
};

/**
 * npm, as a program that this Node runs: on Windows `npm` is a script, which only a shell can start.
 *
 * @returns {{ command: string, args: string[] }}
 */
export function npmProgram() {
  const { npm_execpath: running } = process.env;
  if (running?.endsWith(".js")) return { command: process.execPath, args: [running] };
  if (process.platform !== "win32") return { command: "npm", args: [] };
  return { command: process.execPath, args: [join(dirname(process.execPath), "node_modules/npm/bin/npm-cli.js")] };
}

/** Runs npm in the root. */
export function runNpm(/** @type {string[]} */ args, /** @type {Parameters<typeof run>[2]} */ options = {}) {
  const npm = npmProgram();
  return run(npm.command, [...npm.args, ...args], options);
}

/** The trimmed standard output of a command, or null when it cannot be run or fails. */
export function capture(/** @type {string} */ command, /** @type {string[]} */ args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : null;
}

/** The platform triple that `napi build` compiles for; sharing it shares cargo's target folder. */
export function hostTriple() {
  const triple = /^host: (\S+)$/m.exec(capture("rustc", ["-vV"]) ?? "")?.[1];
  if (triple === undefined) throw new Error("[rustc] expected a line `host: …` from `rustc -vV`; run `npm run setup`");
  return triple;
}

/**
 * Runs a command in the root, or in `cwd`, and resolves to its exit code and its output, both streams in the order they were written.
 *
 * `onLine` sees every line as it arrives; `inherit` gives the command this terminal instead and collects nothing.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, inherit?: boolean, onLine?: (line: string) => void, cwd?: string }} [options]
 * @returns {Promise<{ code: number, output: string }>}
 */
export function run(command, args, options = {}) {
  const { env = {}, inherit = false, onLine, cwd = root } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, DO_NOT_TRACK: "1", TURBO_NO_UPDATE_NOTIFIER: "1", ...env },
      stdio: inherit ? "inherit" : ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let rest = "";
    const take = (/** @type {string} */ text) => {
      output += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine?.(line);
    };
    child.stdout?.setEncoding("utf8").on("data", take);
    child.stderr?.setEncoding("utf8").on("data", take);
    // Ctrl-C reaches the whole process group, and the program in front decides when to end; a SIGTERM reaches only us.
    const wait = () => {};
    const forward = () => child.kill("SIGTERM");
    if (inherit) process.on("SIGINT", wait).on("SIGTERM", forward);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      process.off("SIGINT", wait).off("SIGTERM", forward);
      if (rest !== "") onLine?.(rest);
      resolve({ code: code ?? (signal === "SIGINT" ? 130 : 1), output });
    });
  });
}

/** Runs a JavaScript program of `bin` with this Node. */
export function runNode(
  /** @type {string[]} */ program,
  /** @type {string[]} */ args,
  /** @type {Parameters<typeof run>[2]} */ options = {},
) {
  return run(process.execPath, [...program, ...args], options);
}

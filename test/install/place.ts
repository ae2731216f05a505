// A folder outside the workspace with a release installed in it, and ways to run things there.
import { execFile, spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, root } from "../../scripts/lib/shell.mjs";
import { type Packed, packRelease } from "../../scripts/release/pack.ts";
import { readPackages } from "../../scripts/release/packages.ts";
import { installRelease } from "../../scripts/release/try.mjs";
import { conversations } from "../support/rows.ts";

/** What a program has printed, and how it ended. */
export interface Ran {
  code: number;
  out: string;
  err: string;
}

/** A release, packed from what is built. */
export interface Release extends Disposable {
  /** Folder of its tarballs. */
  folder: string;
  list: Packed[];
}

/** A folder in which a user has installed something. */
export interface Place extends Disposable {
  folder: string;
  /** Runs a program of Node there. */
  node(args: readonly string[], input?: string): Promise<Ran>;
  /** Runs a command of `tunesmith` there, by the link that npm has made. */
  tunesmith(args: readonly string[], input?: string): Promise<Ran>;
  /** Runs the compiler there. */
  tsc(args: readonly string[]): Promise<Ran>;
}

/** Packs the packages as a release does, with this platform's binary as the build left it. */
export async function makeRelease(): Promise<Release> {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-release-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const list = await packRelease(readPackages(), join(root, "packages/native/binding"), folder);
    return { folder, list, [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/**
 * Installs a release into an empty folder, beside a small model and rows.
 *
 * @param options as of {@link installRelease}
 */
export async function makePlace(release: Release, options: Parameters<typeof installRelease>[2] = {}): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-user-"));
  const node = (args: readonly string[], input = "") => execute(process.execPath, args, folder, input);
  await installRelease(folder, release.folder, options);
  cpSync(join(root, "test/fixtures/models/llama"), join(folder, "model"), { recursive: true });
  const rows = conversations(24).map((row) => `${JSON.stringify(row)}\n`);
  writeFileSync(join(folder, "train.jsonl"), rows.join(""));
  return {
    folder,
    node,
    tunesmith: (args, input = "") => execute(commandOf(folder), args, folder, input),
    tsc: (args) => node([join(root, bin.tsc[0] ?? ""), ...args]),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The command that npm has linked. */
export const commandOf = (folder: string): string => join(folder, "node_modules/.bin/tunesmith");

/** The surroundings of a user: nothing of the workspace, no colours, no hub. */
export function surroundings(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:NODE_|npm_|VITEST|TSX_|TUNESMITH_|NAPI_|FORCE_COLOR)/u.test(name),
  );
  return { ...Object.fromEntries(own), NO_COLOR: "1", HF_HUB_OFFLINE: "1" };
}

/** Starts the command and sends it a signal once a line of its output says so. */
export function interrupted(folder: string, args: readonly string[], when: (line: string) => boolean): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(commandOf(folder), args, {
      cwd: folder,
      env: surroundings(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ran = { out: "", err: "" };
    let isSent = false;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      ran.out += text;
      if (isSent || !ran.out.split("\n").some(when)) return;
      isSent = true;
      child.kill("SIGINT");
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      ran.err += text;
    });
    child.on("error", reject).on("close", (code) => resolve({ code: code ?? -1, ...ran }));
  });
}

function execute(program: string, args: readonly string[], cwd: string, input: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: surroundings(), maxBuffer: 64 << 20 };
    const child = execFile(program, [...args], options, (error, out, err) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: typeof error?.code === "number" ? error.code : 0, out, err });
    });
    child.stdin?.end(input);
  });
}

/** Throws with what a program has printed where it did not end as it must. */
export function mustEnd(ran: Ran, code = 0): Ran {
  if (ran.code !== code) throw new Error(`expected exit code ${code}, got ${ran.code}\n${ran.out}\n${ran.err}`);
  return ran;
}

/** Throws where a text does not say something. */
export function mustSay(text: string, pattern: RegExp): void {
  if (!pattern.test(text)) throw new Error(`expected ${pattern}, got ${text}`);
}

/** Throws where a file is not there. */
export function mustExist(folder: string, path: string): void {
  if (!existsSync(join(folder, path))) throw new Error(`expected ${path}, got none`);
}

// `tunesmith doctor`: checks Node, engine, memory, disk and hub.
import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { arch, cpus, freemem, platform, release, totalmem } from "node:os";
import { dirname } from "node:path";
import { type HubSettings, hubSettings, terminalText } from "@tunesmith/core";
import { type SystemInfo, systemInfo } from "@tunesmith/native";
import pc from "picocolors";
import { bytes, plural } from "../view/format.ts";
import type { Streams } from "./train.ts";

/** What one check has found. */
export interface Finding {
  name: string;
  /** `note`: works, but the user should know. */
  state: "ok" | "note" | "bad";
  found: string;
  /** What to do, for everything that is not ok. */
  fix?: string;
}

/** Free disk below which a model of a few gigabytes and its checkpoints do not fit. */
const littleDisk = 5 * 2 ** 30;
/** Free memory below which even a small model does not fit. */
const littleMemory = 2 * 2 ** 30;

/** `tunesmith doctor`: what could keep a run from working here. Exit code 1 when something does. */
export async function doctor({ out }: Streams): Promise<number> {
  let code = 0;
  const tell = (finding: Finding): void => {
    out.write(`${line(finding)}\n`);
    if (finding.state === "bad") code = 1;
  };
  // Each as soon as it is known: the last one waits for the network.
  tell(node(process.versions.node));
  tell(system());
  tell(binary());
  tell(cuda());
  tell(memory());
  tell(await disk("folder", process.cwd()));
  for (const finding of await models()) tell(finding);
  return code;
}

function line({ name, state, found, fix }: Finding): string {
  const mark = { ok: pc.green("ok  "), note: pc.yellow("note"), bad: pc.red("bad ") }[state];
  return `${mark}  ${name.padEnd(9)} ${terminalText(found)}${fix === undefined ? "" : `\n      ${" ".repeat(9)} ${pc.dim(fix)}`}`;
}

/** Where models come from and where they are kept. */
export async function models(env: NodeJS.ProcessEnv = process.env): Promise<Finding[]> {
  let settings: HubSettings;
  try {
    settings = hubSettings(env);
  } catch (error) {
    return [{ name: "hub", state: "bad", found: (error as Error).message }];
  }
  return [await disk("cache", settings.cacheDir), await hub(settings), token(settings)];
}

/** The version of Node. */
export function node(version: string): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const good = major > 20 || (major === 20 && minor >= 19);
  const found = `Node ${version}`;
  return good
    ? { name: "node", state: "ok", found }
    : { name: "node", state: "bad", found, fix: "install Node 20.19 or newer" };
}

function system(): Finding {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const libc = header.glibcVersionRuntime === undefined ? "" : `, glibc ${header.glibcVersionRuntime}`;
  return {
    name: "system",
    state: "ok",
    found: `${platform()} ${release()} ${arch()}${libc}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown CPU"}`,
  };
}

function binary(): Finding {
  try {
    const { version, backends, instructionSet, threads } = systemInfo();
    return {
      name: "engine",
      state: "ok",
      found: `${version}, ${backends.join(" and ")}, ${instructionSet}, ${plural(threads, "thread")}`,
    };
  } catch (error) {
    return {
      name: "engine",
      state: "bad",
      found: (error as Error).message,
    };
  }
}

/** Whether CUDA can be used, and what is missing where not. */
export function cuda(info: Pick<SystemInfo, "cudaDevice" | "cudaMissing"> | null = systemInfoOrNull()): Finding {
  if (info === null) return { name: "cuda", state: "note", found: "unknown without the engine" };
  if (info.cudaDevice !== null) return { name: "cuda", state: "ok", found: info.cudaDevice };
  return {
    name: "cuda",
    state: "note",
    found: info.cudaMissing ?? "not found",
    fix: "without it everything runs on the CPU",
  };
}

function systemInfoOrNull(): SystemInfo | null {
  try {
    return systemInfo();
  } catch {
    return null;
  }
}

function memory(): Finding {
  const found = `${bytes(freemem())} free of ${bytes(totalmem())}`;
  const fix = "close other programs, or choose a smaller model";
  return freemem() >= littleMemory
    ? { name: "memory", state: "ok", found }
    : { name: "memory", state: "note", found, fix };
}

/** Free space of the disk that a folder is or will be on, and whether it may be written. Makes nothing. */
export async function disk(name: string, folder: string): Promise<Finding> {
  const isCache = name === "cache";
  try {
    const existing = await nearestFolder(folder);
    await access(existing, constants.W_OK);
    const { bavail, bsize } = await statfs(existing);
    const found = `${bytes(bavail * bsize)} free in ${folder}`;
    if (bavail * bsize >= littleDisk) return { name, state: "ok", found };
    const fix = isCache ? "set HF_HOME to a larger disk" : "choose another --output-dir";
    return { name, state: "note", found, fix: `free some space, or ${fix}` };
  } catch (error) {
    const fix = isCache
      ? "set HF_HOME to a folder that you may write"
      : "go to a folder that you may write, or give --output-dir";
    return { name, state: "bad", found: (error as Error).message, fix };
  }
}

/** The folder itself, or what of its path is there already. */
async function nearestFolder(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const found = await stat(path).catch(() => null);
    if (found !== null && !found.isDirectory()) throw new Error(`${path} is a file`);
    if (found !== null) return path;
  }
}

/** Whether models can be downloaded. */
export async function hub({ endpoint, offline }: Pick<HubSettings, "endpoint" | "offline">): Promise<Finding> {
  if (offline)
    return { name: "hub", state: "note", found: "offline by HF_HUB_OFFLINE", fix: "unset it to download models" };
  try {
    await fetch(endpoint, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(3_000) });
    return { name: "hub", state: "ok", found: `${endpoint} answers` };
  } catch {
    const fix = "check the connection, or train from the path of a local model";
    return { name: "hub", state: "note", found: `${endpoint} does not answer within 3 s`, fix };
  }
}

/** Whether there is a token; never what it is. */
export function token(settings: Pick<HubSettings, "token">): Finding {
  if (settings.token !== null) return { name: "token", state: "ok", found: "present (gated models can be downloaded)" };
  return { name: "token", state: "ok", found: "none (needed for gated models only: set HF_TOKEN)" };
}

// One script against the download: what must hold, whatever the hub does.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TunesmithError } from "../../../packages/core/src/index.ts";
import { downloadModel } from "../../../packages/sdk/src/hub/snapshot.ts";
import { gitDigest } from "../../../packages/sdk/src/testing/fake-hub.ts";
import { type Script, scriptOf } from "./script.ts";
import { HostileHub } from "./server.ts";

/** Milliseconds after which a download counts as hanging; its own patience ends long before. */
const hanging = 30_000;
/** The most bytes of memory that the process may ever have taken: its own start, the hub itself, and little for the download. */
const mostMemory = process.resourceUsage().maxRSS * 1024 + 300 * 2 ** 20;
const token = "hf_planted_token";

/** What a script came to. */
export interface Trial {
  outcome: "files" | "error";
  /** What must not be; empty when all held. */
  problems: string[];
}

/**
 * Runs the script of a seed: either the right files byte for byte or a typed error without a secret; never a bad file in the cache, a
 * file out of it, a lock that stays, a hang, or memory without bounds. Then the hub behaves, and the right files must come.
 */
export async function runScript(seed: number): Promise<Trial> {
  const root = await mkdtemp(join(tmpdir(), "tunesmith-hostile-"));
  const script = scriptOf(seed);
  const hub = new HostileHub(script);
  const problems: string[] = [];
  try {
    await hub.open();
    const cacheDir = join(root, "a", "cache");
    const planted = await prepare(cacheDir, script);
    const outcome = await attempt(hub, cacheDir, script, problems);
    await inspect(root, cacheDir, planted, problems);
    hub.good = true;
    if ((await attempt(hub, cacheDir, script, problems)) !== "files")
      problems.push("a hub that behaves gives no model");
    await inspect(root, cacheDir, null, problems);
    if (hub.leaked.length > 0) problems.push("the token went to another host");
    if (process.resourceUsage().maxRSS * 1024 > mostMemory) problems.push("memory without bounds");
    return { outcome, problems };
  } finally {
    hub.close();
    await rm(root, { recursive: true });
  }
}

async function attempt(
  hub: HostileHub,
  cacheDir: string,
  { files }: Script,
  problems: string[],
): Promise<Trial["outcome"]> {
  const patience = { stall: 120, retry: 1 };
  const options = { endpoint: hub.endpoint, cacheDir, token, localFilesOnly: false, connectTimeout: 500, patience };
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), hanging);
  try {
    const snapshot = await downloadModel("org/name", { ...options, signal: late.signal });
    for (const [name, content] of files) {
      const got = await readFile(join(snapshot, name)).catch(() => null);
      if (got === null || !got.equals(content)) problems.push(`${name} is not what the hub has`);
    }
    return "files";
  } catch (error) {
    if (late.signal.aborted) problems.push(`no end within ${hanging / 1000} s`);
    const { code, message } = error as TunesmithError;
    const expected = ["DOWNLOAD_FAILED", "IO"].includes(code);
    if (!TunesmithError.isInstance(error) || !expected) problems.push(`an untyped error: ${String(error)}`);
    else if (code === "DOWNLOAD_FAILED" && !/^\[.+\] expected .+, got .+/su.test(message))
      problems.push(`an error of another form: ${message}`);
    if (/hunter2|hf_planted/u.test(message)) problems.push("a secret in an error");
    return "error";
  } finally {
    clearTimeout(timer);
  }
}

/** Puts into the cache what a script finds there; gives the name of a blob that is not good. */
async function prepare(cacheDir: string, { files, leftover, draws }: Script): Promise<string | null> {
  const folder = join(cacheDir, "models--org--name");
  const blobs = join(folder, "blobs");
  await mkdir(blobs, { recursive: true });
  await mkdir(join(folder, "refs"));
  const [, content = Buffer.alloc(0)] = [...files].find(([name]) => name.endsWith(".safetensors")) ?? [];
  const digest = createHash("sha256").update(content).digest("hex");
  const partial = join(blobs, `${digest}.tunesmith-partial`);
  const lock = join(blobs, `${digest}.tunesmith-lock`);
  const start = content.subarray(0, draws.below(content.length + 1));
  if (leftover === "damaged") await writeFile(join(blobs, digest), draws.bytes(content.length));
  if (leftover === "folder") await mkdir(join(blobs, digest));
  if (leftover === "part") await writeFile(partial, start);
  if (leftover === "bad part") await writeFile(partial, draws.bytes(start.length));
  if (leftover === "long part") await writeFile(partial, draws.bytes(content.length + 7));
  if (leftover === "ref out") await writeFile(join(folder, "refs", "main"), "../../../../..");
  if (leftover === "stale lock") {
    await writeFile(lock, "left");
    await utimes(lock, new Date(2000, 0), new Date(2000, 0));
  }
  if (leftover === "stale lock") return `${digest}.tunesmith-lock`;
  return leftover === "damaged" || leftover === "folder" ? digest : null;
}

/** Every blob holds what its name says, no lock is left, and nothing was written outside of the model's folder. */
async function inspect(root: string, cacheDir: string, planted: string | null, problems: string[]): Promise<void> {
  const outside = [...(await readdir(root)), ...(await readdir(join(root, "a"))), ...(await readdir(cacheDir))];
  const strange = outside.filter((name) => !["a", "cache", "models--org--name"].includes(name));
  if (strange.length > 0) problems.push(`outside of the model's folder: ${strange.join(", ")}`);
  const folder = join(cacheDir, "models--org--name");
  const parts = (await readdir(folder)).filter((name) => !["blobs", "refs", "snapshots"].includes(name));
  if (parts.length > 0) problems.push(`in the model's folder: ${parts.join(", ")}`);
  const blobs = join(folder, "blobs");
  for (const name of await readdir(blobs).catch(() => [])) {
    if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/u.test(name)) {
      // What was put there before stays where no listing has come.
      if (name === planted) continue;
      const content = await readFile(join(blobs, name));
      const is = name.length === 40 ? gitDigest(content) : createHash("sha256").update(content).digest("hex");
      if (is !== name) problems.push(`the blob ${name} holds something else`);
    } else if (name !== planted && !/^[0-9a-f]+\.tunesmith-(?:partial|verified)$/u.test(name))
      problems.push(`left over: ${name}`);
  }
}

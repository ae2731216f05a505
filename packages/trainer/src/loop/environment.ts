// Where a run took place, and the digest of its model.
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { basename, join } from "node:path";
import { digestFile, type LanguageModel, list, type SessionInfo } from "@tunesmith/core";

/**
 * SHA-256 of a model's weights, configuration and tokenizer: of the file itself, or over the names and digests of a folder's
 * files. Null where the path is no file and no folder.
 */
export async function digestModel(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  if (found.isFile()) return (await digestFile(path)).sha256;
  const hash = createHash("sha256");
  for (const name of await list(path)) {
    if (!/\.(?:safetensors|gguf|json|jinja)$/u.test(name)) continue;
    hash.update(`${name} ${(await digestFile(join(path, name))).sha256}\n`);
  }
  return hash.digest("hex");
}

/** The version of this package. */
export function packageVersion(): string {
  return (createRequire(import.meta.url)("#package.json") as { version: string }).version;
}

/** Where a run took place: `env.json`. Nothing of the process environment goes in. */
export async function describeEnvironment(
  { info: model, tokenizer }: LanguageModel,
  modelSha256: string | null,
  session: SessionInfo,
  data: { train: string | null; eval: string | null },
): Promise<object> {
  return {
    tunesmith: packageVersion(),
    node: process.version,
    os: { platform: platform(), release: release(), arch: arch() },
    cpu: { model: cpus()[0]?.model ?? "unknown", cores: cpus().length },
    memoryBytes: totalmem(),
    backend: session.backend,
    threads: session.threads,
    matmulLibrary: session.matmulLibrary,
    model: {
      name: model.origin?.name ?? basename(model.path),
      revision: model.origin?.revision ?? null,
      modelType: model.modelType,
      sha256: modelSha256,
      chatTemplateSha256: tokenizer.info.chatTemplateSha256,
    },
    totalParameters: session.totalParameters,
    trainableParameters: session.trainableParameters,
    quantization: session.quantization,
    dataSha256: data,
  };
}

type Computer = Pick<SessionInfo, "backend" | "matmulLibrary">;

/**
 * What the user should know of a run that goes on where other arithmetic computes it than before: its last bits differ.
 *
 * @param path of the run, whose `env.json` is of the time before
 */
export async function otherArithmetic(path: string, now: Computer): Promise<string[]> {
  const text = await readFile(join(path, "env.json"), "utf8").catch(() => "{}");
  const before = JSON.parse(text) as Partial<Computer>;
  if (before.backend === undefined || before.matmulLibrary === undefined) return [];
  const name = ({ backend, matmulLibrary }: Partial<Computer>) => `${backend} (${matmulLibrary ?? "own kernels"})`;
  if (name(before) === name(now)) return [];
  return [
    `[${path}] this run was computed by ${name(before)} and goes on with ${name(now)}: it goes on well, but not to the same bits`,
  ];
}

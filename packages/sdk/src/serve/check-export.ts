// Whether another program reads what was exported, before it is started: an adapter folder, a model folder or a GGUF file, and the
// command that serves it.
import { open, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { ArgumentError, ConfigError, exists, list, OptionError } from "@tunesmith/core";
import { loadModel } from "@tunesmith/native";
import { modelfilePath } from "./modelfile.ts";

/** The programs whose demands are known. */
export const exportReaders = ["vllm", "ollama", "llama.cpp"] as const;
/** A program that reads exports. */
export type ExportReader = (typeof exportReaders)[number];

/** What a reader makes of an export. */
export interface ExportCheck {
  /** What it refuses or would compute otherwise; none: it reads it. */
  problems: string[];
  /** What its user should know. */
  notes: string[];
  /** How it is started, line by line. */
  commands: string[];
}

/** Ranks that vLLM allocates for (`--max-lora-rank`). */
const vllmRanks = [1, 8, 16, 32, 64, 128, 256, 320, 512];
/** Architectures whose safetensors adapters Ollama takes (`ADAPTER`, docs/modelfile). */
const ollamaAdapters = ["llama", "mistral", "gemma", "gemma2"];

type Kind = "adapter" | "folder" | "gguf" | "gguf adapter";

/**
 * Looks an export over for its reader. Weights are not read.
 *
 * @throws OptionError for another reader, ArgumentError for a path that holds no export, and what opening a damaged model throws
 */
export async function checkExport(path: string, reader: ExportReader): Promise<ExportCheck> {
  const kind = await kindOf(path);
  const check: ExportCheck = { problems: [], notes: [], commands: [] };
  if (kind === "folder" || kind === "gguf") await checkModel(path, check);
  if (reader === "vllm") await forVllm(path, kind, check);
  else if (reader === "ollama") await forOllama(path, kind, check);
  else if (reader === "llama.cpp") forLlamaCpp(path, kind, check);
  else
    throw new OptionError(
      `[check] expected ${exportReaders.join(", ")}, got ${JSON.stringify(reader)}; name one of these`,
    );
  return check;
}

async function kindOf(path: string): Promise<Kind> {
  const found = await stat(path).catch(() => null);
  if (found?.isFile() && path.endsWith(".gguf")) return (await isGgufAdapter(path)) ? "gguf adapter" : "gguf";
  if (found?.isDirectory() && (await exists(join(path, "adapter_config.json")))) return "adapter";
  if (found?.isDirectory() && (await exists(join(path, "config.json")))) return "folder";
  throw new ArgumentError(
    `[${path}] expected a .gguf file, an adapter folder or a model folder, got ${found === null ? "nothing" : "something else"}; give what merge, export or a run has written`,
  );
}

/** Whether a file begins with the keys of an adapter, which stand before any that is long. */
async function isGgufAdapter(path: string): Promise<boolean> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead).includes("adapter.type");
  } finally {
    await handle.close();
  }
}

/** Opens configuration and tokenizer as we do, and looks for what every reader needs. */
async function checkModel(path: string, check: ExportCheck): Promise<void> {
  const { info, tokenizer } = await loadModel(path);
  if (tokenizer.info.chatTemplate === null) check.notes.push("no chat template: it completes text and answers no chat");
  if (info.eosTokenIds.length === 0) check.problems.push("no token ends an answer: set eos_token_id and export again");
}

async function forVllm(path: string, kind: Kind, check: ExportCheck): Promise<void> {
  if (kind === "gguf adapter") {
    check.problems.push("vLLM takes adapters as PEFT folders, not as GGUF files: give the run's adapter folder");
  } else if (kind === "gguf") {
    check.notes.push(
      "vLLM calls its reading of GGUF files experimental; a merged folder (tunesmith merge) is its usual form",
    );
    check.commands.push(`vllm serve ${quoted(path)}`);
  } else if (kind === "folder") {
    const names = await list(path);
    if (!names.some((name) => name.endsWith(".safetensors")))
      check.problems.push("no .safetensors file in the folder: merge again with tunesmith merge");
    check.commands.push(`vllm serve ${quoted(path)}`);
  } else {
    const adapter = await adapterConfig(path);
    check.problems.push(...vllmProblems(adapter));
    const rank = vllmRanks.find((allowed) => allowed >= adapter.r);
    if (rank === undefined) check.problems.push(`rank ${adapter.r} is above ${vllmRanks.at(-1)}: merge the adapter`);
    check.commands.push(
      `vllm serve ${quoted(adapter.base)} --enable-lora --max-lora-rank ${rank ?? adapter.r} --lora-modules ${quoted(`${basename(path)}=${path}`)}`,
    );
  }
}

/** What vLLM's `PEFTHelper` refuses or passes over. */
function vllmProblems({ keys }: AdapterConfig): string[] {
  const filled = (key: string) => {
    const value = keys[key];
    return value !== undefined && value !== null && value !== false && Object.keys(Object(value)).length > 0;
  };
  const problems = [];
  if (filled("modules_to_save"))
    problems.push("modules_to_save: vLLM takes no fully trained modules; merge the adapter");
  if (keys.use_dora === true) problems.push("use_dora: vLLM computes no DoRA; merge the adapter");
  if (keys.bias !== undefined && keys.bias !== "none")
    problems.push(`bias ${JSON.stringify(keys.bias)}: vLLM adds no trained biases; merge the adapter`);
  for (const key of ["rank_pattern", "alpha_pattern"])
    if (filled(key)) problems.push(`${key}: vLLM scales every module alike; merge the adapter`);
  return problems;
}

async function forOllama(path: string, kind: Kind, check: ExportCheck): Promise<void> {
  const name = basename(path)
    .replace(/\.gguf$/u, "")
    .toLowerCase();
  const create = (file: string) => [`ollama create ${quoted(name)} -f ${quoted(file)}`, `ollama run ${quoted(name)}`];
  if (kind === "gguf") {
    const file = modelfilePath(path);
    if (!(await exists(file)))
      check.problems.push(
        `no ${basename(file)} beside it: export again with --modelfile, or write FROM ./${basename(path)}`,
      );
    check.commands.push(...create(file));
  } else if (kind === "folder") {
    check.notes.push("Ollama converts the folder itself; a Modelfile with FROM and its path is enough");
    check.commands.push(`echo ${quoted(`FROM ${path}`)} > Modelfile`, ...create("Modelfile"));
  } else {
    if (kind === "adapter") {
      const { base, keys } = await adapterConfig(path);
      const type = await modelType(base);
      if (type === null) check.notes.push("the base model is not on this machine: its architecture was not looked at");
      else if (!ollamaAdapters.includes(type))
        check.problems.push(
          `Ollama takes adapters of ${ollamaAdapters.join(", ")}, not of ${type}: merge and export gguf`,
        );
      if (keys.use_dora === true) check.problems.push("use_dora: Ollama computes no DoRA; merge and export gguf");
    }
    check.notes.push(
      "FROM must name the model that was trained, in the same form; other quantisations answer otherwise",
    );
    check.commands.push(`printf 'FROM BASE\\nADAPTER %s\\n' ${quoted(path)} > Modelfile`, ...create("Modelfile"));
  }
}

function forLlamaCpp(path: string, kind: Kind, check: ExportCheck): void {
  if (kind === "gguf") {
    check.commands.push(`llama-server -m ${quoted(path)} --jinja`);
  } else if (kind === "gguf adapter") {
    check.commands.push(`llama-server -m BASE.gguf --lora ${quoted(path)} --jinja`);
  } else if (kind === "adapter") {
    check.problems.push("llama.cpp takes adapters as GGUF files: tunesmith export gguf RUN --lora --output lora.gguf");
  } else {
    check.problems.push("llama.cpp reads GGUF files: tunesmith export gguf FOLDER --output model.gguf");
  }
}

interface AdapterConfig {
  r: number;
  base: string;
  keys: Record<string, unknown>;
}

async function adapterConfig(folder: string): Promise<AdapterConfig> {
  const path = join(folder, "adapter_config.json");
  let keys: Record<string, unknown>;
  try {
    keys = Object(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new ConfigError(`[${path}] expected JSON, got: ${(error as Error).message}; copy the adapter again`);
  }
  const { r, base_model_name_or_path: base } = keys;
  if (typeof r !== "number" || !Number.isInteger(r) || r < 1)
    throw new ConfigError(`[${path}] expected a rank r, got ${JSON.stringify(r)}; copy the adapter again`);
  if (!(await exists(join(folder, "adapter_model.safetensors"))))
    throw new ConfigError(
      `[${folder}] expected adapter_model.safetensors, got a folder without; copy the adapter again`,
    );
  return { r, base: typeof base === "string" && base !== "" ? base : "BASE", keys };
}

/** `model_type` of a base model that lies on this machine as a folder; null for any other. */
async function modelType(base: string): Promise<string | null> {
  const text = await readFile(join(base, "config.json"), "utf8").catch(() => null);
  if (text === null) return null;
  const { model_type: type } = Object(JSON.parse(text)) as { model_type?: unknown };
  return typeof type === "string" ? type : null;
}

/** A word of a shell's line. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

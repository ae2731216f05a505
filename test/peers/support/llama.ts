// Real llama.cpp: node-llama-cpp in a folder of its own, asked in a process of its own.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { runProcess } from "./process.ts";

/** The package's folder, outside the workspaces. */
export const llamaFolder = resolve(import.meta.dirname, "../llama-cpp");

/** Whether node-llama-cpp is installed. */
export function llamaInstalled(): boolean {
  return existsSync(join(llamaFolder, "node_modules/node-llama-cpp/package.json"));
}

/** Installs node-llama-cpp by its own lock, without running any script of it. */
export async function installLlama(): Promise<void> {
  await new Promise<void>((done, fail) => {
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    // Not `npm ci`: it refuses a lock without those binaries of other platforms that the registry may lack.
    const child = spawn(npm, ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], {
      cwd: llamaFolder,
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.on("error", fail);
    child.on("close", (code) =>
      code === 0
        ? done()
        : fail(new Error(`[npm install] expected node-llama-cpp to install, got exit ${code}; see above`)),
    );
  });
}

/** What llama.cpp is asked. */
export interface LlamaRequest {
  maxNewTokens: number;
  /** Token ids, and the text they come from where llama.cpp's tokenizer is to be asked too. */
  prompts: { ids: number[]; text?: string }[];
  /** Leave a token out that ends a generation, and what would follow. */
  stopAtEnd: boolean;
}

/** What it answers. */
export interface LlamaResult {
  answers: number[][];
  tokenized: (number[] | null)[];
}

/** Greedy continuations by llama.cpp. */
export async function llamaAnswers(model: string, request: LlamaRequest, lora?: string): Promise<LlamaResult> {
  const argv = [join(llamaFolder, "answer.mjs"), model, ...(lora === undefined ? [] : [lora])];
  return JSON.parse(await runProcess(process.execPath, argv, JSON.stringify(request))) as LlamaResult;
}

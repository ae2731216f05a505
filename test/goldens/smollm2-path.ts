// Finds the GGUF file of SmolLM2-135M-Instruct on this machine.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../../examples/quickstart/quickstart-model.ts";
import { smolLm2 } from "../../examples/quickstart/wheel.ts";

/** The GGUF file of SmolLM2-135M-Instruct, where `TUNESMITH_SMOLLM2` names it or the quickstart has cached it; else null. */
export function findSmollm2(): string | null {
  const path = process.env.TUNESMITH_SMOLLM2 ?? join(cacheFolder, smolLm2.file);
  return existsSync(path) ? path : null;
}

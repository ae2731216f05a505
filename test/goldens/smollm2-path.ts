import { existsSync } from "node:fs";

/** The GGUF file of SmolLM2-135M-Instruct, where `TUNESMITH_SMOLLM2` names it or the quickstart has cached it. */
export function findSmollm2(): string | null {
  const given = process.env["TUNESMITH_SMOLLM2"];
  return given !== undefined && existsSync(given) ? given : null;
}

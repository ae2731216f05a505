// Whether the binding compiles for the other platforms: `cargo check`, which needs a target's standard library and no linker.
import { capture, run } from "../lib/shell.mjs";
import type { Outcome } from "./report.ts";

/** Lines of the compiler's output that are shown of a failure. */
const shown = 30;

/** Checks one target; skipped with the reason where its standard library is not installed. */
export async function crossCheck(triple: string): Promise<Outcome> {
  const installed = (capture("rustup", ["target", "list", "--installed"]) ?? "").split("\n");
  if (!installed.includes(triple)) return { skipped: `no standard library here; \`rustup target add ${triple}\`` };
  const args = ["check", "--locked", "--package", "tunesmith-node", "--target", triple];
  const { code, output } = await run("cargo", args, { env: { CARGO_TERM_COLOR: "never", ...settings(triple) } });
  // Without a dynamic C library there is no library to load: cargo only warns, and makes none.
  if (code !== 0 || output.includes("dropping unsupported crate type"))
    return { faults: [output.trimEnd().split("\n").slice(-shown).join("\n         ")] };
  return { ok: "" };
}

/** Kernels are device code, the same for every platform. A library for musl links it dynamically, as `napi build` does. */
function settings(triple: string): Record<string, string> {
  const flags = triple.endsWith("-musl") ? { RUSTFLAGS: "-C target-feature=-crt-static" } : {};
  return { TUNESMITH_SKIP_NVCC: "1", ...flags };
}

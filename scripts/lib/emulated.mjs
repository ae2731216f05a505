// Compiles the emulated device apart from cargo: watched by AddressSanitizer, or from other kernels than the checkout's.
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, isAbsolute, join } from "node:path";
import { capture, root, run } from "./shell.mjs";

const compiler = process.env.CXX ?? "g++";
const host = join(root, "kernels/host");

/** An access beyond memory is reported and noted as the launch's error; the process goes on. */
const watch = ["-g", "-fsanitize=address", "-fsanitize-recover=address", "-fno-omit-frame-pointer"];

/** A folder for what is compiled here, next to cargo's. */
export const compiled = (/** @type {string} */ name) =>
  join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), name);

/** AddressSanitizer's library, which a process that loads a watched device must have loaded first; null where there is none. */
export function sanitizer() {
  if (process.platform !== "linux") return null;
  const path = capture(compiler, ["-print-file-name=libasan.so"]);
  return path !== null && isAbsolute(path) && existsSync(path) ? path : null;
}

/** The environment of a process that loads the device `library`; `asan`: what `sanitizer` gave, for a watched one. */
export function environment(/** @type {string} */ library, /** @type {string | null} */ asan = null) {
  /** @type {Record<string, string>} */
  const env = { TUNESMITH_EMULATED_LIBRARY: library };
  if (asan === null) return env;
  // Every fault is a launch's error, the second at one place too. What a test leaves allocated is not asked here.
  return { ...env, LD_PRELOAD: asan, ASAN_OPTIONS: "halt_on_error=0:suppress_equal_pcs=0:detect_leaks=0" };
}

/** When a file last changed; 0 when there is none. */
const changed = (/** @type {string} */ path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const inside = (/** @type {string} */ folder) => readdirSync(folder).map((name) => join(folder, name));

/**
 * Compiles the pages of `kernels` (with their `common/`) and the device into the library `out/libtunesmith_emulated.so`, and resolves
 * to its path. What is newer than its sources is kept.
 *
 * @param {{ out: string, kernels?: string, watched?: boolean, flags?: string[] }} options `flags`: more of them
 */
export async function compileDevice({ out, kernels = join(root, "kernels"), watched = false, flags = [] }) {
  mkdirSync(out, { recursive: true });
  const arch = process.arch === "x64" ? ["-mavx2", "-mfma"] : [];
  const common = ["-O1", `@${join(host, "flags.txt")}`, ...arch, ...(watched ? watch : []), ...flags];
  const pages = inside(kernels).filter((path) => path.endsWith(".cu"));
  const headers = [...inside(join(kernels, "common")), ...inside(host), import.meta.filename].map(changed);
  const units = [join(host, "device.cpp"), join(host, "faults.cu"), ...pages].map((source) => ({
    source,
    object: join(out, `${basename(source).replace(/\.\w+$/, "")}.o`),
  }));
  const stale = units.filter(({ source, object }) => changed(object) <= Math.max(changed(source), ...headers));
  const compile = async () => {
    for (let unit = stale.pop(); unit !== undefined; unit = stale.pop()) {
      const language = ["-x", "c++", "-include", join(host, "shim.h"), "-I", kernels];
      await tool([...common, ...language, "-c", unit.source, "-o", `${unit.object}.part`]);
      renameSync(`${unit.object}.part`, unit.object);
    }
  };
  // The longest pages first, so that none of them is what is waited for in the end.
  stale.sort((a, b) => statSync(a.source).size - statSync(b.source).size);
  await Promise.all(Array.from({ length: availableParallelism() }, compile));
  const library = join(out, "libtunesmith_emulated.so");
  if (units.every(({ object }) => changed(object) < changed(library))) return library;
  await tool([...common, "-shared", "-pthread", ...units.map(({ object }) => object), "-o", `${library}.part`]);
  renameSync(`${library}.part`, library);
  return library;
}

async function tool(/** @type {string[]} */ args) {
  const { code, output } = await run(compiler, args);
  if (code !== 0) throw new Error(`[emulated] expected ${compiler} to compile ${args.at(-3)}, got:\n${output}`);
}

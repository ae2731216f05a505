// `tunesmith bench`: how fast this machine trains, generates and tokenises, on generated rows and weights.
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { AbortError, expandHome, type OptionKeys, replaceFile, sortOptionsBeside } from "@tunesmith/core";
import { systemInfo } from "@tunesmith/native";
import type { Benchmark } from "../bench/measure.ts";
import { type ShapeName, shapes } from "../bench/random-model.ts";
import { benchSchemas } from "../flags.ts";
import { benchLines, type Host } from "../view/bench-lines.ts";
import { display } from "../view/display.ts";
import { environmentLine } from "../view/environment-line.ts";
import { Screen } from "../view/screen.ts";
import { Interrupt } from "./interrupt.ts";
import type { Streams } from "./train.ts";
import { choice } from "./write.ts";

/** Flags besides those of the schema. */
interface BenchFlags {
  size?: string;
  json?: string;
}

const keys: OptionKeys<BenchFlags> = { size: "optional", json: "optional" };

/** `tunesmith bench`. Gives the exit code: 0, or that of the signal that stopped it. */
export async function bench(flags: Record<string, unknown>, { out, err }: Streams): Promise<number> {
  const [{ place }, given] = sortOptionsBeside(benchSchemas, keys, flags, "tunesmith bench");
  const size = choice("--size", given.size ?? "smollm2-135m", Object.keys(shapes) as ShapeName[]);
  out.write(`${environmentLine(place)}\n`);
  const folder = await mkdtemp(join(tmpdir(), "tunesmith-bench-"));
  const screen = new Screen(err);
  const interrupt = new Interrupt(() => screen.settle());
  try {
    const begun = performance.now();
    const { benchmark } = await import("../bench/measure.ts");
    const tell = (what: string) => screen.status(`bench  ${what}`);
    const found = await benchmark(folder, size, place, { tell, signal: interrupt.signal });
    screen.clear();
    const seconds = (performance.now() - begun) / 1000;
    out.write(benchLines(size, found, host(), seconds));
    if (given.json !== undefined) {
      const file = expandHome(given.json);
      await replaceFile(file, `${JSON.stringify(resultOf(size, found, seconds), null, 1)}\n`);
      out.write(`saved    ${display(file)}\n`);
    }
    return 0;
  } catch (error) {
    screen.settle();
    if (interrupt.exitCode === null || !(error instanceof AbortError || (error as Error).name === "AbortError"))
      throw error;
    err.write("stopped: nothing is kept\n");
    return interrupt.exitCode;
  } finally {
    interrupt.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Where it was measured: no path and no host name. */
function host(): Host {
  const { version, platform, arch, cudaDevice, instructionSet, threads, totalMemory } = systemInfo();
  const cpu = `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown CPU"}`;
  return { version, platform, arch, cpu, instructionSet, threads, totalMemory, cudaDevice, node: process.version };
}

/** What the file holds: figures as they were measured, in tokens, bytes, operations and seconds. */
function resultOf(size: ShapeName, { limits, tests }: Benchmark, seconds: number): object {
  const date = new Date().toISOString();
  return { benchmark: "tunesmith bench", date, host: host(), size, shape: shapes[size], limits, tests, seconds };
}

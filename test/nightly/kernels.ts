// The nightly part `kernels`: every barrier, mask and bounds test of the kernels is taken away in turn, and a suite must notice.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { compileDevice, compiled, environment, sanitizer } from "../../scripts/lib/emulated.mjs";
import { hostTriple, root, run } from "../../scripts/lib/shell.mjs";
import { type Mutant, mutate } from "./mutants.ts";
import type { Part, Reached } from "./part.ts";
import { survivorOf, survivors } from "./survivors.ts";

/** Chooses one mutant when the library is loaded; -1 chooses none. */
const header = `#include <cstdlib>
namespace host {
inline const int mutant = [] { const char* text = std::getenv("TUNESMITH_MUTANT"); return text == nullptr ? -1 : std::atoi(text); }();
}
#define MUTANT(n) (__builtin_expect(::host::mutant == (n), 0))
`;

/** Pages whose work shows in other suites too: what is clipped, and by how much, in the step that follows; an adapter's product after the large one. */
const alsoIn: Readonly<Record<string, string>> = { grad_norm: "adamw", matmul: "lora_matmul" };

/** A page or header of kernels/ with what is done to it. */
interface Page {
  file: string;
  mutants: Mutant[];
  /** Names of the suites that run its code. */
  suites: string[];
}

/** A library of all mutants, and what a process needs to load it. */
type Device = Record<string, string>;

/** Writes where the text is another one: what is compiled from it stays fresh. */
function keep(path: string, text: string) {
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

const listed = (folder: string, pattern: RegExp) =>
  readdirSync(join(root, folder))
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);

/** All mutants of the checkout's kernels. `suitesOf` a page by its name; each file's text with its switches goes to `write`. */
export function pages(suitesOf: (page: string) => string[], write: (file: string, text: string) => void): Page[] {
  const files = [...listed("kernels", /\.cu$/), ...listed("kernels/common", /\.cuh$/)];
  const texts = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const includes = (file: string): string[] => {
    const own = [...(texts.get(file) ?? "").matchAll(/^#include "(.*)"/gm)].map(([, name]) => `kernels/${name}`);
    return [file, ...own.flatMap(includes)];
  };
  const using = (file: string) => files.filter((page) => page.endsWith(".cu") && includes(page).includes(file));
  return files.map((file, index) => {
    // Numbers of its own: what is done to one file leaves the others as they are.
    const { text, mutants } = mutate(file, texts.get(file) ?? "", 1000 * index);
    write(file, text);
    return { file, mutants, suites: [...new Set(using(file).flatMap((page) => suitesOf(basename(page, ".cu"))))] };
  });
}

/** `attention_backward` belongs to the suite `attention`: the longest that its name begins with. */
function suitesOf(page: string, suites: readonly string[]): string[] {
  const fits = suites.filter((suite) => page === suite || page.startsWith(`${suite}_`));
  const longest = fits.sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) throw new Error(`[test:nightly kernels] expected a suite for ${page}.cu, got none`);
  const other = alsoIn[page];
  return other === undefined ? [longest] : [longest, other];
}

/** A program of the CUDA backend's tests, by its file. */
async function program(name: string): Promise<string> {
  const args = ["test", "--workspace", "--release", "--locked", "--target", hostTriple(), "--test", name];
  const { code, output } = await run("cargo", [...args, "--no-run", "--message-format", "json"]);
  const found = output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => {
      return JSON.parse(line) as { reason: string; target?: { name: string }; executable?: string | null };
    });
  const path = found.find(({ target, executable }) => target?.name === name && executable)?.executable;
  if (code === 0 && path) return path;
  throw new Error(`[test:nightly kernels] expected a program of tests, got:\n${output.slice(-2000)}`);
}

/** Where a mutant may be noticed: a suite in one dtype on one device, or what counts the work of a suite's kernels. */
interface Place {
  suite: string;
  name: string;
  counts: boolean;
  path: string;
  tests: string[];
  env: Readonly<Record<string, string>>;
  /** Seconds that it takes without a mutant. */
  usual: number;
}

/** How a place ended: without a fault, or with one after so many seconds. */
interface Ending {
  passed: boolean;
  /** Whether it did not end in its time, which counts as noticed. */
  late: boolean;
  seconds: number;
}

function visit({ path, tests, env }: Place, mutant: number, limit: number): Promise<Ending> {
  const begun = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(path, [...tests, "--exact"], {
      cwd: join(root, "crates/conformance"),
      env: { ...process.env, ...env, TUNESMITH_MUTANT: String(mutant), TUNESMITH_FIRST_FAILURE: "1" },
      stdio: "ignore",
      // A mutant that never ends was noticed.
      timeout: Math.ceil(limit * 1000),
      killSignal: "SIGKILL",
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      resolve({ passed: code === 0, late: signal === "SIGKILL", seconds: (performance.now() - begun) / 1000 });
    });
  });
}

/** All places, on the devices of a library of mutants. */
async function allPlaces(devices: readonly { name: string; env: Device }[]): Promise<Place[]> {
  const [contracts, work] = [await program("cuda"), await program("cuda_work")];
  const listed = async (path: string, pattern: RegExp) =>
    [...(await run(path, ["--list"])).output.matchAll(pattern)].map(([, name]) => name ?? "");
  const suites = await listed(contracts, /^(\w+)_meets_its_contract: test$/gm);
  const counting = await listed(work, /^(\w+_does_no_more_than_it_must): test$/gm);
  const plain = devices[0]?.env ?? {};
  return suites.flatMap((suite) => {
    const own = counting.filter((test) => suitesOf(test, suites)[0] === suite);
    const counted = { suite, name: `${suite}, counted`, counts: true, path: work, tests: own, env: plain, usual: 0 };
    const held = devices.flatMap(({ name, env }) =>
      ["float32", "bfloat16"].map((dtype) => ({
        suite,
        name: `${suite}, ${dtype}, ${name}`,
        counts: false,
        path: contracts,
        tests: [`${suite}_meets_its_contract`],
        env: { ...env, TUNESMITH_ONLY_DTYPE: dtype },
        usual: 0,
      })),
    );
    return own.length > 0 ? [counted, ...held] : held;
  });
}

export const kernels: Part = {
  what: "kernels without one of their barriers, masks or bounds tests: a suite notices",
  async run({ minutes, threads, only }) {
    const folder = compiled("mutants");
    // Written before anything is known of suites: the libraries are made from these texts.
    pages(
      () => [],
      (file, text) => keep(join(folder, file), text),
    );
    keep(join(folder, "mutants.h"), header);
    const flags = ["-include", join(folder, "mutants.h")];
    const asan = sanitizer();
    const devices: { name: string; env: Device }[] = [];
    for (const watched of asan === null ? [false] : [false, true]) {
      const name = watched ? "watched" : "plain";
      const out = join(folder, name);
      const library = await compileDevice({ out, kernels: join(folder, "kernels"), watched, flags });
      const env = environment(library, watched ? asan : null);
      // A kernel goes on after an access beyond its memory, and may make thousands: where they are is not read.
      devices.push({ name, env: watched ? { ...env, ASAN_OPTIONS: `${env.ASAN_OPTIONS}:symbolize=0` } : env });
    }
    if (asan === null) console.log("without AddressSanitizer: a fault that nothing else shows goes through");

    const places = await allPlaces(devices);
    const suites = [...new Set(places.map(({ suite }) => suite))];
    const all = pages(
      (page) => suitesOf(page, suites),
      () => {},
    );
    const names = only?.split(",");
    const wanted = all.filter(({ file, mutants, suites }) => {
      const own = [basename(file).replace(/\.\w+$/, ""), ...(file.endsWith(".cu") ? suites.slice(0, 1) : [])];
      return mutants.length > 0 && (names === undefined || own.some((name) => names.includes(name)));
    });
    if (wanted.length === 0)
      throw new Error(`[test:nightly kernels] expected a stem or header of kernels/, got ${only}`);
    const sound = soundness(places, join(folder, "untouched.json"));
    const end = Date.now() + minutes * 60_000;
    const rows: Reached[] = [];
    for (const page of wanted) {
      if (Date.now() > end) {
        console.log(`no time for ${page.file}`);
        continue;
      }
      rows.push(await tried(page, places, threads, sound));
    }
    return rows;
  },
};

/**
 * Makes sure, once before the first mutant of a place, that untouched kernels pass there: else the caught ones say nothing. What is
 * known of a place, and how long it takes, is kept in `file`.
 */
function soundness(places: readonly Place[], file: string): (place: Place) => Promise<void> {
  type Known = Record<string, { made: string; seconds: number }>;
  const known = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Known) : {};
  for (const place of places) place.usual = known[place.name]?.seconds ?? 0;
  const asked = new Map<Place, Promise<void>>();
  const ask = async (place: Place) => {
    const files = [place.path, place.env.TUNESMITH_EMULATED_LIBRARY ?? ""];
    const made = files.map((path) => statSync(path).mtimeMs).join(" and ");
    if (known[place.name]?.made === made) return;
    const { passed, seconds } = await visit(place, -1, 600);
    if (!passed)
      throw new Error(`[test:nightly kernels] expected ${place.name} to pass without a mutant, got a failure`);
    console.log(`${place.name}: ${seconds.toFixed(1)} s untouched`);
    place.usual = seconds;
    known[place.name] = { made, seconds };
    writeFileSync(file, JSON.stringify(known));
  };
  return (place) => {
    const answer = asked.get(place) ?? ask(place);
    asked.set(place, answer);
    return answer;
  };
}

/** Tries all mutants of a page, `threads` at a time. */
async function tried(
  { file, mutants, suites }: Page,
  places: readonly Place[],
  threads: number,
  sound: (place: Place) => Promise<void>,
): Promise<Reached> {
  const begun = Date.now();
  const quickest = places.filter(({ suite }) => suites.includes(suite)).sort((a, b) => a.usual - b.usual);
  // What noticed the last one is asked first about the next: neighbours are noticed alike.
  // A barrier less is a count less: of one that is needed a result must tell.
  const order = { barrier: quickest.filter(({ counts }) => !counts), bound: [...quickest] };
  const left: Mutant[] = [];
  const waiting = [...mutants];
  let late = 0;
  const work = async () => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const noticed = await notice(mutant, [...order[mutant.kind]], sound);
      if (noticed === undefined) left.push(mutant);
      else order[mutant.kind] = [noticed.place, ...order[mutant.kind].filter((place) => place !== noticed.place)];
      late += Number(noticed?.late ?? false);
      const by = noticed === undefined ? "" : `  ${noticed.place.name}${noticed.late ? ", out of time" : ""}`;
      console.log(`${noticed === undefined ? "SURVIVES" : "caught"}  ${describe(mutant)}${by}`);
    }
  };
  await Promise.all(Array.from({ length: threads }, work));
  left.sort((a, b) => a.id - b.id);
  const unexplained = left.filter((mutant) => survivorOf(mutant) === undefined);
  // A sentence that is not true any more is a fault as well.
  const untrue = survivors.filter(
    (known) => known.file === file && !left.some((mutant) => survivorOf(mutant) === known),
  );
  for (const mutant of unexplained) console.log(`expected a reason in survivors.ts: ${describe(mutant)}`);
  for (const { text, change } of untrue)
    console.log(`expected to survive, as survivors.ts says: ${file} ${text}: ${change}`);
  return {
    id: file,
    cases: mutants.length,
    failures: unexplained.length + untrue.length,
    seconds: (Date.now() - begun) / 1000,
    note: `${mutants.length - left.length} caught${late > 0 ? `, ${late} by the time limit` : ""}`,
    survivors: left.map((mutant) => `${describe(mutant)}: ${survivorOf(mutant)?.why ?? "no reason known"}`),
  };
}

/** The first place that notices, and whether by the time limit; undefined when none does. */
async function notice(
  mutant: Mutant,
  places: readonly Place[],
  sound: (place: Place) => Promise<void>,
): Promise<{ place: Place; late: boolean } | undefined> {
  for (const place of places) {
    await sound(place);
    const { passed, late } = await visit(place, mutant.id, 5 * place.usual + 10);
    if (!passed) return { place, late };
  }
  return undefined;
}

const describe = ({ file, line, text, change }: Mutant) => `\`${file}:${line}\` \`${text}\`, ${change}`;

// npm run release -- COMMAND, or --dry-run: everything from manifests to the registry; docs/releasing.md says when to run what.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bin, hostTriple, root, runNode } from "../lib/shell.mjs";
import { binaryOf, buildBinary } from "./build.ts";
import { contentFaults, isHollow } from "./contents.ts";
import { crossCheck } from "./cross.ts";
import { kernelFaults } from "./kernels.ts";
import { publintOf, typesOf } from "./lint.ts";
import { changes, manifestFaults, targetFaults, versionFaults } from "./manifests.ts";
import { type Packed, packRelease, readRelease, stagedFolder, withdrawRelease } from "./pack.ts";
import { readPackages } from "./packages.ts";
import { publishRelease } from "./publish.ts";
import { Report, unless } from "./report.ts";
import { cudaArchs, targetOf, targets } from "./targets.ts";
import { tryRelease } from "./try.mjs";
import { nextVersion } from "./version.ts";

const usage = `npm run release -- --dry-run [--binaries DIR] [--output DIR] [--tag vX.Y.Z] [--registry ADDRESS]
npm run release -- check [--tag vX.Y.Z]
npm run release -- cross [TARGET …]
npm run release -- build TARGET
npm run release -- pack [--binaries DIR] [--output DIR] [--tag vX.Y.Z]
npm run release -- publish [--output DIR] [--no-provenance] [--registry ADDRESS]
npm run release -- version`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "dry-run": { type: "boolean", default: false },
    binaries: { type: "string" },
    output: { type: "string", default: "release" },
    tag: { type: "string" },
    registry: { type: "string" },
    "no-provenance": { type: "boolean", default: false },
  },
});
const report = new Report();
const output = resolve(root, values.output);
const loaderFolder = join(root, "packages/native/binding");

/** Manifests, versions, targets and changes: what needs no build. */
async function check(tag: string | undefined): Promise<void> {
  const packages = readPackages();
  for (const one of packages) await report.check(one.manifest.name, () => unless(manifestFaults(one)));
  const cargo = readFileSync(join(root, "Cargo.toml"), "utf8");
  await report.check("versions", () => unless(versionFaults(packages, tag, cargo), packages[0]?.manifest.version));
  await report.check("targets", () => unless(targetFaults(packages), `${targets.length} platforms`));
  await report.check("changes", () => {
    const { waiting, faults } = changes(packages);
    // A tag is put on the commit that the version step has made: changes left over would be in no changelog.
    const left =
      tag === undefined
        ? []
        : waiting.map((name) => `.changeset/${name} waits for a version; run \`npm run release -- version\``);
    return unless([...faults, ...left], `${waiting.length} wait for the next version`);
  });
}

async function cross(triples: readonly string[]): Promise<void> {
  for (const triple of triples) await report.check(`cargo check ${triple}`, () => crossCheck(targetOf(triple).triple));
}

/** Builds the types and code of all packages, and packs them with the binaries that are there. */
async function pack(binaries: string): Promise<Packed[]> {
  let list: Packed[] = [];
  await report.check("TypeScript", async () => {
    // What an older build has left there would be packed too.
    for (const { folder } of readPackages()) rmSync(join(root, folder, "dist"), { recursive: true, force: true });
    const { code, output: log } = await runNode(bin.turbo, [
      "run",
      "build",
      "--only",
      "--filter=./packages/*",
      "--output-logs=errors-only",
    ]);
    return unless(code === 0 ? [] : [log.trim()]);
  });
  await report.check("tarballs", async () => {
    list = await packRelease(readPackages(), binaries, output);
    return { ok: `${list.length} in ${values.output}/` };
  });
  for (const packed of list) {
    const staged = join(output, "staged", stagedFolder(packed));
    await report.check(packed.file, () => unless(contentFaults(packed, staged), `${packed.size} bytes`));
    if (packed.triple !== null) continue;
    await report.check(`publint ${packed.name}`, () => publintOf(packed, output));
    await report.check(`types of ${packed.name}`, () => typesOf(packed, output));
  }
  return list;
}

/**
 * Looks into the binaries that must have kernels.
 *
 * @param isRehearsal they were built otherwise than a release builds them, and nothing of it is published
 */
async function kernels(list: readonly Packed[], { isRehearsal }: { isRehearsal: boolean }): Promise<void> {
  for (const packed of list.filter((one) => one.triple !== null && targetOf(one.triple).kernels && !isHollow(one)))
    await report.check(`kernels of ${packed.name}`, () => {
      const file = join(output, "staged", stagedFolder(packed), binaryOf(packed.triple ?? ""));
      const faults = kernelFaults(readFileSync(file));
      if (isRehearsal && faults.length > 0) return { skipped: `not those of a release: ${faults.join("; ")}` };
      return unless(faults, cudaArchs);
    });
}

/** Every step on this platform, and what can be checked of the others; nothing leaves this machine. */
async function dryRun(): Promise<void> {
  const host = hostTriple();
  await check(values.tag);
  await cross(targets.map(({ triple }) => triple).filter((triple) => triple !== host));
  let binaries = values.binaries === undefined ? undefined : resolve(root, values.binaries);
  if (binaries === undefined) {
    binaries = join(root, "target/release-binaries");
    await report.check(`build ${host}`, async () => {
      await buildBinary(targetOf(host), binaries ?? "", { native: true });
      return { ok: binaryOf(host) };
    });
  }
  const list = await pack(binaries);
  if (list.length === 0) return;
  await kernels(list, { isRehearsal: values.binaries !== undefined });
  for (const packed of list.filter(isHollow))
    await report.check(`binary of ${packed.triple}`, () => ({
      skipped: "built on its own runner only; packed without it here",
    }));
  await report.check("three steps of training", async () => ({
    ok: (await tryRelease(output)).map((loss) => loss.toFixed(3)).join(", "),
  }));
  await publishRelease(list, { folder: output, dryRun: true, provenance: false, ...registry() }, report);
}

const registry = () => (values.registry === undefined ? {} : { registry: values.registry });

/** Packs for publishing: every platform must have its binary. */
async function packWhole(): Promise<void> {
  await check(values.tag);
  const list = await pack(resolve(root, values.binaries ?? loaderFolder));
  await kernels(list, { isRehearsal: false });
  await report.check("binaries", () =>
    unless(list.filter(isHollow).map(({ name, triple }) => `${name} lacks ${binaryOf(triple ?? "")}`)),
  );
  if (report.counts.failed > 0) withdrawRelease(output);
}

async function publish(): Promise<void> {
  const list = readRelease(output);
  const options = { folder: output, dryRun: false, provenance: !values["no-provenance"], ...registry() };
  await publishRelease(list, options, report);
}

async function build(triple: string): Promise<void> {
  await report.check(`build ${triple}`, async () => {
    await buildBinary(targetOf(triple), loaderFolder);
    return unless(existsSync(join(loaderFolder, binaryOf(triple))) ? [] : [`expected ${binaryOf(triple)}, got none`]);
  });
}

const commands: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  check: () => check(values.tag),
  cross: (triples) => cross(triples.length > 0 ? triples : targets.map(({ triple }) => triple)),
  build: async (triples) => {
    for (const triple of triples) await build(triple);
  },
  pack: packWhole,
  publish,
  version: async () => {
    await report.check("version", async () => ({ ok: await nextVersion() }));
  },
};

const [command = "", ...args] = positionals;
const run = values["dry-run"] && command === "" ? dryRun : commands[command];
if (run === undefined || (command === "build" && args.length === 0)) {
  console.error(`[release] expected one of these, got ${process.argv.slice(2).join(" ") || "nothing"}:\n${usage}`);
  process.exitCode = 2;
} else {
  await run(args);
  process.exitCode = report.end();
}

// Makes the tarballs of a release: copies of the packages with LICENSE, one package per platform, and what to publish in which order.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { NapiCli } from "@napi-rs/cli";
import { root, runNpm } from "../lib/shell.mjs";
import { binaryOf } from "./build.ts";
import { type Manifest, type Package, readManifest } from "./packages.ts";
import { platformOf, targets } from "./targets.ts";

/** A tarball of a release. */
export interface Packed {
  name: string;
  version: string;
  /** File in the folder of the release. */
  file: string;
  /** Bytes of the file. */
  size: number;
  /** Its checksum, as npm writes it. */
  integrity: string;
  /** Paths in it. */
  files: string[];
  /** Rust's triple of a platform's package; null for one that every platform installs. */
  triple: string | null;
}

/** The list of tarballs in a release's folder. */
const listFile = "release.json";

/**
 * Packs everything into `output`, which is emptied first: tarballs, and their list in the order of publishing.
 *
 * @param packages in an order in which each comes after its dependencies, with built code in their folders
 * @param binaries folder of the platforms' binaries; a platform without one gets a package without it, which is never published
 */
export async function packRelease(packages: readonly Package[], binaries: string, output: string): Promise<Packed[]> {
  const folder = resolve(output);
  rmSync(folder, { recursive: true, force: true });
  const staged: { folder: string; triple: string | null }[] = [];
  for (const one of packages) {
    const place = join(folder, "staged", one.manifest.name);
    stage(one, place);
    // Platforms come before what names them: a user must never find a loader whose binaries are not there yet.
    if (one.manifest.napi !== undefined) staged.push(...(await stagePlatforms(one.manifest, place, binaries)));
    staged.push({ folder: place, triple: null });
  }
  const made = await npmPack(
    staged.map((one) => one.folder),
    folder,
  );
  const packed = made.map((one, index) => ({ ...one, triple: staged[index]?.triple ?? null }));
  // First all platforms, then the rest in its order.
  const list = [...packed.filter(({ triple }) => triple !== null), ...packed.filter(({ triple }) => triple === null)];
  writeFileSync(join(folder, listFile), `${JSON.stringify(list, null, 1)}\n`);
  return list;
}

/** The tarballs of a folder that {@link packRelease} has made. */
export function readRelease(folder: string): Packed[] {
  const path = join(folder, listFile);
  if (!existsSync(path))
    throw new Error(`[${folder}] expected ${listFile}, got none; make it with \`npm run release -- pack\``);
  return JSON.parse(readFileSync(path, "utf8")) as Packed[];
}

/** Takes the list back, so that nothing of a release with faults is published. */
export const withdrawRelease = (folder: string): void => rmSync(join(folder, listFile), { force: true });

/** Where a tarball's files lie unpacked, below `staged` in the folder of the release. */
export function stagedFolder({ name, triple }: Packed): string {
  if (triple === null) return name;
  const platform = platformOf(triple);
  return join(name.slice(0, -platform.length - 1), "npm", platform);
}

/** Copies what is packed of a package, its page and the licence. */
function stage({ folder, manifest }: Package, place: string): void {
  mkdirSync(place, { recursive: true });
  for (const path of [...(manifest.files ?? []), "README.md"]) {
    const from = join(root, folder, path);
    if (!existsSync(from)) throw new Error(`[${folder}] expected ${path}, got none; build first: \`npm run build\``);
    cpSync(from, join(place, path), { recursive: true });
  }
  cpSync(join(root, "LICENSE"), join(place, "LICENSE"));
  const optionalDependencies =
    manifest.napi &&
    Object.fromEntries(targets.map(({ triple }) => [platformPackage(manifest, triple), manifest.version]));
  write(place, optionalDependencies === undefined ? manifest : { ...manifest, optionalDependencies });
}

const platformPackage = ({ name }: Manifest, triple: string) => `${name}-${platformOf(triple)}`;

/** Lets napi make a package of each platform, and adds its binary and the licence. */
async function stagePlatforms(manifest: Manifest, place: string, binaries: string) {
  await new NapiCli().createNpmDirs({ cwd: place, npmDir: "npm" });
  return targets.map(({ triple }) => {
    const folder = join(place, "npm", platformOf(triple));
    const binary = join(binaries, binaryOf(triple));
    if (existsSync(binary)) cpSync(binary, join(folder, binaryOf(triple)));
    cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
    const description = `The binary of ${manifest.name} for ${platformOf(triple)}`;
    write(folder, { ...readManifest(folder), description });
    return { folder, triple };
  });
}

function write(folder: string, manifest: Manifest): void {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

type NpmPacked = {
  name: string;
  version: string;
  filename: string;
  size: number;
  integrity: string;
  files: { path: string }[];
};

async function npmPack(folders: readonly string[], output: string): Promise<Omit<Packed, "triple">[]> {
  const args = ["pack", "--json", "--loglevel=error", "--pack-destination", output, ...folders];
  const { code, output: text } = await runNpm(args);
  if (code !== 0) throw new Error(`[npm pack] expected tarballs, got: ${text.trim()}`);
  const list = JSON.parse(text) as NpmPacked[];
  return list.map(({ name, version, filename, size, integrity, files }) => {
    return { name, version, file: filename, size, integrity, files: files.map(({ path }) => path) };
  });
}

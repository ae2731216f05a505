// What must hold of manifests before anything is built: fields that a registry shows, versions that agree, targets that are listed.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/shell.mjs";
import type { Package } from "./packages.ts";
import { targets } from "./targets.ts";

const repository = "https://github.com/tunesmith/tunesmith";

/** What is missing of the fields that npm shows of a package, and of the file that its page is. */
export function manifestFaults({ folder, manifest }: Package, base: string = root): string[] {
  const fault = (wrong: boolean, what: string) => (wrong ? [`${folder}/package.json: ${what}`] : []);
  return [
    ...fault(!manifest.description, "expected a description, got none"),
    ...fault((manifest.keywords ?? []).length < 3, "expected three keywords or more"),
    ...fault(manifest.license !== "Apache-2.0", `expected the license Apache-2.0, got ${manifest.license}`),
    ...fault(!manifest.homepage?.startsWith(repository), `expected a homepage below ${repository}`),
    ...fault(
      manifest.repository?.url !== `git+${repository}.git` || manifest.repository?.directory !== folder,
      "expected its own folder in repository: provenance is checked against it",
    ),
    ...fault(manifest.engines?.node !== ">=20.19", "expected engines.node >=20.19"),
    ...fault(manifest.type !== "module", "expected the type module"),
    ...fault(!manifest.files?.length, "expected files, the list of what is packed"),
    ...(existsSync(join(base, folder, "README.md")) ? [] : [`${folder}: expected a README.md, the package's page`]),
  ];
}

/** Where versions differ: of packages, of what they ask of each other, of Cargo's workspace, and of the tag. */
export function versionFaults(packages: readonly Package[], tag: string | undefined, cargo: string): string[] {
  const version = cargoVersion(cargo);
  const names = new Set(packages.map(({ manifest }) => manifest.name));
  const faults = packages.flatMap(({ folder, manifest }) => [
    ...(manifest.version === version
      ? []
      : [`${folder}: expected version ${version} of Cargo.toml, got ${manifest.version}`]),
    ...Object.entries(manifest.dependencies ?? {})
      .filter(([name, asked]) => names.has(name) && asked !== version)
      .map(([name, asked]) => `${folder}: expected ${name} ${version}, got ${asked}`),
  ]);
  if (tag !== undefined && tag !== `v${version}`)
    faults.push(`[tag] expected v${version}, got ${tag}; tag the commit that has the version`);
  return faults;
}

/** The version of Cargo's workspace. */
export function cargoVersion(cargo: string = readFileSync(join(root, "Cargo.toml"), "utf8")): string {
  const version = /^\[workspace\.package\]\nversion = "([^"]+)"/m.exec(cargo)?.[1];
  if (version === undefined) throw new Error("[Cargo.toml] expected a version first in [workspace.package], got none");
  return version;
}

/** Where the list of targets and that of packages/native differ. */
export function targetFaults(packages: readonly Package[]): string[] {
  const listed = packages.flatMap(({ manifest }) => manifest.napi?.targets ?? []);
  const known = targets.map(({ triple }) => triple);
  return [
    ...known
      .filter((triple) => !listed.includes(triple))
      .map((triple) => `packages/native/package.json: napi.targets lacks ${triple}`),
    ...listed.filter((triple) => !known.includes(triple)).map((triple) => `scripts/release/targets.ts lacks ${triple}`),
  ];
}

/** Files of .changeset/ that wait for the next version, and what is wrong with them. */
export function changes(packages: readonly Package[], base: string = root): { waiting: string[]; faults: string[] } {
  const names = packages.map(({ manifest }) => manifest.name);
  const waiting = readdirSync(join(base, ".changeset")).filter((name) => name.endsWith(".md") && name !== "README.md");
  const faults = waiting.flatMap((name) => {
    const text = readFileSync(join(base, ".changeset", name), "utf8");
    const [, head, body] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text) ?? [];
    if (head === undefined || !body?.trim())
      return [`.changeset/${name}: expected packages between --- and a text, got another form`];
    return head.split("\n").flatMap((line) => {
      const [, asked = ""] = /^"([^"]+)": (?:major|minor|patch)$/.exec(line) ?? [];
      return names.includes(asked)
        ? []
        : [`.changeset/${name}: expected "PACKAGE": major, minor or patch, got ${line}`];
    });
  });
  return { waiting, faults };
}

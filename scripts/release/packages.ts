// The packages that are published, read from packages/ and sorted so that each comes after those it depends on.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../lib/shell.mjs";

/** The fields of a package.json that a release looks at. */
export interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  description?: string;
  keywords?: string[];
  license?: string;
  type?: string;
  homepage?: string;
  repository?: { url?: string; directory?: string };
  engines?: { node?: string };
  exports?: Record<string, { types: string; default: string }>;
  bin?: Record<string, string>;
  files?: string[];
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  napi?: { targets: string[] };
}

/** A package of the repository. */
export interface Package {
  /** Path from the root, such as `packages/core`. */
  folder: string;
  manifest: Manifest;
}

/** Every package that is published, those first that others depend on. */
export function readPackages(base: string = root): Package[] {
  const all = readdirSync(join(base, "packages"))
    .map((name) => `packages/${name}`)
    .filter((folder) => existsSync(join(base, folder, "package.json")))
    .map((folder) => ({ folder, manifest: readManifest(join(base, folder)) }))
    .filter(({ manifest }) => manifest.private !== true);
  return inOrder(all);
}

/** The package.json of a folder. */
export function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** Packages so that each comes after its dependencies. Throws where they form a circle. */
export function inOrder(packages: readonly Package[]): Package[] {
  const names = new Set(packages.map(({ manifest }) => manifest.name));
  const sorted: Package[] = [];
  const placed = new Set<string>();
  while (sorted.length < packages.length) {
    const next = packages.filter(
      ({ manifest }) =>
        !placed.has(manifest.name) &&
        Object.keys(manifest.dependencies ?? {}).every((name) => !names.has(name) || placed.has(name)),
    );
    if (next.length === 0) throw new Error("[packages] expected no circle of dependencies, got one; untie it");
    for (const { manifest } of next) placed.add(manifest.name);
    sorted.push(...next);
  }
  return sorted;
}

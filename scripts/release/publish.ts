// Publishes a release's tarballs in their order; what the registry has already is left alone, so a broken-off release is run again.
import { join } from "node:path";
import { runNpm } from "../lib/shell.mjs";
import { isHollow } from "./contents.ts";
import type { Packed } from "./pack.ts";
import type { Outcome, Report } from "./report.ts";

/** How to publish. */
export interface PublishOptions {
  /** Folder of the tarballs. */
  folder: string;
  /** Say what would be published, and publish nothing. */
  dryRun: boolean;
  /** Attest where the tarballs were made, which npm can only in a workflow that it trusts. */
  provenance: boolean;
  /** Address of the registry; default: npm's own setting. */
  registry?: string;
}

/** The first npm that publishes for a trusted publisher (OIDC) without a token. */
const trusted = [11, 5, 1];

/** Publishes every tarball, and stops at the first that fails: what comes later needs it. */
export async function publishRelease(list: readonly Packed[], options: PublishOptions, report: Report): Promise<void> {
  if (options.provenance && !(await report.check("npm", npmIsNewEnough))) return;
  for (const packed of list) {
    const went = await report.check(`publish ${packed.name}`, () => publishOne(packed, options));
    if (!went && !options.dryRun) return;
  }
}

async function publishOne(packed: Packed, options: PublishOptions): Promise<Outcome> {
  const { name, version, size, integrity } = packed;
  const there = await publishedIntegrity(packed, options);
  if (there !== null) {
    const note = there === integrity ? "with these bytes" : "with other bytes, from an earlier build";
    return { skipped: `${version} is in the registry, ${note}` };
  }
  if (isHollow(packed) && !options.dryRun)
    return { faults: [`[${name}] expected its binary, got none; build it on its platform`] };
  if (options.dryRun)
    return { ok: `would be published: ${version}, ${size} bytes${isHollow(packed) ? " and its binary" : ""}` };
  const { code, output } = await runNpm(["publish", join(options.folder, packed.file), ...flags(packed, options)]);
  // The registry may know a version before it tells of it.
  if (code !== 0 && /cannot publish over (?:the )?(?:previously published|existing) version/i.test(output))
    return { skipped: `${version} is in the registry` };
  return code === 0 ? { ok: `${version}, ${size} bytes` } : { faults: [output.trim()] };
}

/** Flags of `npm publish`. A version such as 1.0.0-rc.1 does not become `latest`. */
function flags({ version }: Packed, { provenance, registry }: PublishOptions): string[] {
  const tag = version.includes("-") ? "next" : "latest";
  return ["--access=public", `--provenance=${provenance}`, `--tag=${tag}`, ...place(registry)];
}

const place = (registry: string | undefined) => (registry === undefined ? [] : [`--registry=${registry}`]);

/** Checksum of a version in the registry; null where it has none. Any other answer is an error: it must not read as "not there". */
async function publishedIntegrity({ name, version }: Packed, { registry }: PublishOptions): Promise<string | null> {
  const args = ["view", `${name}@${version}`, "dist.integrity", "--json", "--prefer-online", ...place(registry)];
  const { code, output } = await runNpm([...args, "--loglevel=error"]);
  if (code === 0) return output.trim() === "" ? null : String(JSON.parse(output));
  if (/\bE404\b/.test(output)) return null;
  throw new Error(`[registry] expected an answer about ${name}@${version}, got: ${output.trim().split("\n")[0]}`);
}

async function npmIsNewEnough(): Promise<Outcome> {
  const { output } = await runNpm(["--version"]);
  const version = output.trim();
  return isAtLeast(version, trusted)
    ? { ok: version }
    : {
        faults: [
          `[npm] expected ${trusted.join(".")} or newer to publish with provenance, got ${version}; npm install --global npm@11`,
        ],
      };
}

/** Whether a version is at least the given one. */
export function isAtLeast(version: string, least: readonly number[]): boolean {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10));
  const differs = least.findIndex((value, index) => parts[index] !== value);
  return differs === -1 || (parts[differs] ?? 0) > (least[differs] ?? 0);
}

// A release that breaks off is run again, against a registry on the loopback interface: nothing twice, nothing before what it needs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { runNpm } from "../../scripts/lib/shell.mjs";
import type { Packed } from "../../scripts/release/pack.ts";
import { isAtLeast, publishRelease } from "../../scripts/release/publish.ts";
import { Report } from "../../scripts/release/report.ts";
import { temporaryFolder } from "../support/runs.ts";
import { type Registry, startRegistry } from "./registry.ts";

// npm starts about a dozen times.
vi.setConfig({ testTimeout: 300_000 });

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
});

const names = ["@scope/native-linux-x64-gnu", "@scope/native", "@scope/cli"];

/** Three tiny tarballs, as `npm run release -- pack` lists them. */
async function tarballs(folder: string): Promise<Packed[]> {
  const folders = names.map((name, index) => {
    const place = join(folder, `staged-${index}`);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
    return place;
  });
  const { code, output } = await runNpm(["pack", "--json", "--pack-destination", folder, ...folders]);
  expect(code, output).toBe(0);
  const list = JSON.parse(output) as { name: string; filename: string; size: number; integrity: string }[];
  return list.map((one) => ({ ...one, version: "1.0.0", file: one.filename, files: ["package.json"], triple: null }));
}

/** Publishes, and gives the counts of the report. */
async function publish(list: Packed[], folder: string, registry: Registry, dryRun = false) {
  const report = new Report();
  const options = { folder, dryRun, provenance: false, registry: registry.address };
  await publishRelease(list, options, report);
  return report.counts;
}

/** npm's settings of a user who may publish there. */
function signIn(folder: string, { address }: Registry): void {
  const path = join(folder, "npmrc");
  writeFileSync(path, `${address.slice("http:".length)}:_authToken=of-a-test\ncache=${join(folder, "cache")}\n`);
  vi.stubEnv("npm_config_userconfig", path);
}

test("a second run publishes what the first one could not, and leaves the rest alone", async () => {
  const folder = temporaryFolder();
  const list = await tarballs(folder);
  await using registry = await startRegistry();
  signIn(folder, registry);

  expect(await publish(list, folder, registry, true)).toEqual({ passed: 3, failed: 0, skipped: 0 });
  expect(registry.taken).toEqual([]);

  // The second is refused: the third needs it and is not tried.
  registry.refuses.add("@scope/native");
  expect(await publish(list, folder, registry)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  expect(registry.taken).toEqual(["@scope/native-linux-x64-gnu@1.0.0"]);

  registry.refuses.clear();
  expect(await publish(list, folder, registry)).toEqual({ passed: 2, failed: 0, skipped: 1 });
  expect(registry.taken).toEqual(names.map((name) => `${name}@1.0.0`));

  expect(await publish(list, folder, registry)).toEqual({ passed: 0, failed: 0, skipped: 3 });
  expect(registry.taken).toHaveLength(3);
});

test("a registry that does not answer is an error, and not an empty one; a hollow package is never published", async () => {
  const folder = temporaryFolder();
  const [first] = await tarballs(folder);
  if (first === undefined) throw new Error("expected a tarball");
  const registry = await startRegistry();
  signIn(folder, registry);
  const hollow = { ...first, triple: "x86_64-unknown-linux-gnu" };
  expect(await publish([hollow], folder, registry)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  expect(registry.taken).toEqual([]);
  await registry[Symbol.asyncDispose]();
  vi.stubEnv("npm_config_fetch_retries", "0");
  expect(await publish([first], folder, registry)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test("an npm without trusted publishing is told apart", () => {
  const { packageManager } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8")) as {
    packageManager: string;
  };
  expect(isAtLeast(packageManager.slice("npm@".length), [11, 5, 1])).toBe(true);
  for (const [version, is] of [
    ["11.5.1", true],
    ["11.5.0", false],
    ["10.9.4", false],
    ["12.0.0", true],
    ["11.10.0", true],
  ] as const)
    expect(isAtLeast(version, [11, 5, 1]), version).toBe(is);
});

// The workflows build, try and publish what scripts/release says, and every package has what a registry shows of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { kernelSettings } from "../../scripts/release/build.ts";
import { changes, manifestFaults, targetFaults } from "../../scripts/release/manifests.ts";
import { readPackages } from "../../scripts/release/packages.ts";
import { cudaArchs, targets } from "../../scripts/release/targets.ts";
import { root } from "./tree.ts";

interface Step {
  if?: string;
  run?: string;
  env?: Record<string, string>;
  uses?: string;
  with?: Record<string, string>;
}
interface Job {
  needs?: string;
  permissions?: Record<string, string>;
  strategy?: { matrix: { include?: Record<string, string | boolean>[]; node?: string[] } };
  steps: Step[];
}

const workflow = (name: string) =>
  (parse(readFileSync(join(root, ".github/workflows", name), "utf8")) as { jobs: Record<string, Job> }).jobs;

const commands = (job: Job | undefined) => (job?.steps ?? []).flatMap(({ run }) => (run === undefined ? [] : [run]));

test("the release builds and tries every target on the machine that the script names", () => {
  const { build, try: tried } = workflow("release.yml");
  expect(build?.strategy?.matrix.include).toEqual(
    targets.map(({ triple, builder, kernels }) => ({ target: triple, os: builder, kernels })),
  );
  expect(tried?.strategy?.matrix.include).toEqual(
    targets.map(({ triple, runner, container }) => ({ target: triple, os: runner, container })),
  );
});

test("the release requires the kernels of all architectures where they belong", () => {
  const { build } = workflow("release.yml");
  const builds = (build?.steps ?? []).filter(({ run }) => run?.startsWith("npm run release -- build"));
  const whole = { TUNESMITH_REQUIRE_CUDA_KERNELS: "1", TUNESMITH_CUDA_ARCHS: cudaArchs };
  expect(builds.map(({ if: when, env }) => [when, env])).toEqual([
    ["matrix.kernels", whole],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub's.
    ["${{ !matrix.kernels }}", undefined],
  ]);
  expect(kernelSettings({ kernels: true })).toMatchObject(whole);
});

test("zig is there for every target that it links", () => {
  const step = workflow("release.yml").build?.steps.find(({ run }) => run?.includes("ziglang"));
  expect(step?.if).toBe("contains(matrix.target, '-linux-')");
  for (const { triple, zig } of targets) expect(zig, triple).toBe(triple.includes("-linux-"));
});

test("nothing is published before every binary has trained, and nothing but by the script", () => {
  const jobs = workflow("release.yml");
  const order = ["publish", "try", "pack", "build", "check"];
  for (const [index, name] of order.entries()) expect(jobs[name]?.needs, name).toBe(order[index + 1]);
  const all = Object.values(jobs).flatMap(commands).join("\n");
  for (const command of ["check --tag", "build", "pack --tag", "publish"])
    expect(all).toContain(`npm run release -- ${command}`);
  expect(all).not.toContain("npm publish");
  expect(all).not.toContain("napi ");
  expect(commands(jobs.try).every((run) => run.includes("scripts/release/try.mjs release"))).toBe(true);
});

test("publishing has an identity, no token, and an npm that knows trusted publishing", () => {
  const text = readFileSync(join(root, ".github/workflows/release.yml"), "utf8");
  expect(text).not.toMatch(/secrets\.|NODE_AUTH_TOKEN|NPM_TOKEN/u);
  const { publish } = workflow("release.yml");
  expect(publish?.permissions).toEqual({ contents: "read", "id-token": "write" });
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { packageManager: string };
  expect(commands(publish)).toContain(`npm install --global ${packageManager}`);
});

test("CI and the nightly run know every Node that is supported", () => {
  const versions = (name: string) => {
    const matrices = Object.values(workflow(name)).flatMap(({ strategy }) => strategy?.matrix.node ?? []);
    const steps = Object.values(workflow(name)).flatMap(({ steps }) =>
      steps.flatMap(({ with: given }) => given?.["node-version"] ?? []),
    );
    return [...matrices, ...steps].map((version) => version.split(".")[0]);
  };
  for (const name of ["ci.yml", "nightly.yml"])
    expect(versions(name)).toEqual(expect.arrayContaining(["20", "22", "24"]));
});

test("the nightly run checks every target but its own", () => {
  const added = commands(workflow("nightly.yml").release).find((run) => run.startsWith("rustup target add")) ?? "";
  const own = "x86_64-unknown-linux-gnu";
  expect(added.trim().split(/\s+/u).slice(3).sort()).toEqual(
    targets
      .map(({ triple }) => triple)
      .filter((triple) => triple !== own)
      .sort(),
  );
});

test("every package has a page, keywords, a home and its own folder, and the targets are listed once more only for napi", () => {
  const packages = readPackages();
  expect(packages.length).toBeGreaterThan(6);
  expect([...packages.flatMap((one) => manifestFaults(one)), ...targetFaults(packages)]).toEqual([]);
});

test("every change that waits for a version names packages that there are", () => {
  expect(changes(readPackages()).faults).toEqual([]);
});

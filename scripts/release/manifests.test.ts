import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { kernelSettings } from "./build.ts";
import { cargoVersion, changes, manifestFaults, targetFaults, versionFaults } from "./manifests.ts";
import { inOrder, type Manifest, type Package } from "./packages.ts";
import { packedLimit, platformOf, targetOf, targets } from "./targets.ts";
import { withVersion } from "./version.ts";

const cargo = '[workspace]\nmembers = []\n\n[workspace.package]\nversion = "1.2.3"\nedition = "2024"\n';
const one = (name: string, more: Partial<Manifest> = {}): Package => ({
  folder: `packages/${name}`,
  manifest: { name, version: "1.2.3", ...more },
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tunesmith-release-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("a manifest lacks a field, and each is named", () => {
  const faults = manifestFaults(one("a"), temporaryFolder());
  expect(faults).toHaveLength(9);
  for (const what of [
    "description",
    "keywords",
    "license",
    "homepage",
    "repository",
    "engines",
    "module",
    "files",
    "README",
  ])
    expect(
      faults.filter((fault) => fault.includes(what)),
      what,
    ).not.toEqual([]);
});

test("versions differ from Cargo's, between packages, and from the tag", () => {
  const packages = [one("a"), one("b", { version: "1.2.4", dependencies: { a: "1.2.2", zod: "4.0.0" } })];
  expect(versionFaults([one("a")], "v1.2.3", cargo)).toEqual([]);
  expect(versionFaults(packages, "v1.3.0", cargo)).toEqual([
    "packages/b: expected version 1.2.3 of Cargo.toml, got 1.2.4",
    "packages/b: expected a 1.2.3, got 1.2.2",
    "[tag] expected v1.2.3, got v1.3.0; tag the commit that has the version",
  ]);
  expect(cargoVersion(withVersion(cargo, "2.0.0"))).toBe("2.0.0");
  expect(() => cargoVersion("[package]\n")).toThrow(/expected a version/u);
});

test("packages come after those they need, in whatever order they are found", () => {
  const names = inOrder([
    one("c", { dependencies: { b: "1.2.3" } }),
    one("b", { dependencies: { a: "1.2.3" } }),
    one("a"),
  ]);
  expect(names.map(({ manifest }) => manifest.name)).toEqual(["a", "b", "c"]);
  const circle = [one("a", { dependencies: { b: "1" } }), one("b", { dependencies: { a: "1" } })];
  expect(() => inOrder(circle)).toThrow(/no circle/u);
});

test("a target that one list lacks is named", () => {
  const triples = targets.map(({ triple }) => triple);
  expect(
    targetFaults([one("native", { napi: { targets: [...triples.slice(1), "riscv64gc-unknown-linux-gnu"] } })]),
  ).toEqual([
    `packages/native/package.json: napi.targets lacks ${triples[0]}`,
    "scripts/release/targets.ts lacks riscv64gc-unknown-linux-gnu",
  ]);
});

test("changes name packages that exist and say something", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, ".changeset"));
  const write = (name: string, text: string) => writeFileSync(join(folder, ".changeset", name), text);
  write("good.md", '---\n"a": minor\n---\n\nBetter.\n');
  write("empty.md", '---\n"a": patch\n---\n\n');
  write("other.md", '---\n"x": minor\n---\n\nBetter.\n');
  const { waiting, faults } = changes([one("a")], folder);
  expect(waiting.sort()).toEqual(["empty.md", "good.md", "other.md"]);
  expect(faults.sort()).toEqual([
    ".changeset/empty.md: expected packages between --- and a text, got another form",
    '.changeset/other.md: expected "PACKAGE": major, minor or patch, got "x": minor',
  ]);
});

test("kernels are required for all four architectures where they belong, and left out elsewhere", () => {
  const linux = targets.filter(({ kernels }) => kernels).map(({ triple }) => platformOf(triple));
  expect(linux).toEqual(["linux-x64-gnu", "linux-arm64-gnu"]);
  const settings = kernelSettings({ kernels: true });
  expect(settings.TUNESMITH_REQUIRE_CUDA_KERNELS).toBe("1");
  expect(settings.TUNESMITH_CUDA_ARCHS?.split(",")).toEqual(expect.arrayContaining(["80", "90a", "100a", "120"]));
  // Whatever the environment says.
  expect(settings.TUNESMITH_SKIP_NVCC).toBe("0");
  expect(kernelSettings({ kernels: false })).toEqual({ TUNESMITH_REQUIRE_CUDA_KERNELS: "0", TUNESMITH_SKIP_NVCC: "1" });
  expect(packedLimit(targetOf("x86_64-unknown-linux-gnu"))).toBe(20e6);
  expect(packedLimit(targetOf("x86_64-unknown-linux-musl"))).toBe(12e6);
  expect(() => targetOf("wasm32-wasip1")).toThrow(/expected one of x86_64-unknown-linux-gnu, .* got wasm32-wasip1/u);
});

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Host, published, whyMissing } from "./binary-missing.ts";

const host: Host = {
  platform: "linux",
  arch: "x64",
  node: "22.1.0",
  isMusl: false,
  hasLoader: true,
  override: undefined,
  refused: undefined,
};

test("reinstalling is advised only where it helps", () => {
  expect(whyMissing(host)).toMatch(/linux-x64 .*npm i @tunesmith\/native$/u);
  for (const [changed, said] of [
    [{ platform: "freebsd" }, /linux-arm64, .*got freebsd-x64; no binary is published .*`npm run build`/u],
    [{ arch: "ppc64" }, /got linux-ppc64; no binary is published/u],
    [{ arch: "s390x", isMusl: true }, /got linux-s390x-musl; no binary is published/u],
    [
      { refused: "libc.so.6: version `GLIBC_2.17' not found" },
      /to load, got: libc\.so\.6: version .*; use a newer system/u,
    ],
    [{ node: "20.18.3" }, /expected Node 20\.19 or newer, got 20\.18\.3; install a newer Node$/u],
    [{ node: "18.20.0", platform: "sunos" }, /expected Node 20\.19/u],
    [{ hasLoader: false }, /got a bundle without them; leave the package out of the bundle/u],
    [{ override: "/x.node" }, /got \/x\.node, which does not load; correct it or unset it$/u],
  ] as const) {
    const message = whyMissing({ ...host, ...changed });
    expect(message).toMatch(said);
    expect(message).not.toMatch(/npm i /u);
  }
});

test("the published platforms are the targets of the package", () => {
  const { napi } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    napi: { targets: string[] };
  };
  const names = napi.targets.map((target) =>
    target
      .replace(/^x86_64/u, "x64")
      .replace(/^aarch64/u, "arm64")
      .replace(/^(\w+)-unknown-linux-gnu$/u, "linux-$1")
      .replace(/^(\w+)-unknown-linux-musl$/u, "linux-$1-musl")
      .replace(/^(\w+)-apple-darwin$/u, "darwin-$1")
      .replace(/^(\w+)-pc-windows-msvc$/u, "win32-$1"),
  );
  expect(names.sort()).toEqual([...published].sort());
});

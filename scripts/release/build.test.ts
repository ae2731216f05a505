import { expect, test, vi } from "vitest";
import { fetchNvcc } from "../lib/cuda.mjs";
import { runNode } from "../lib/shell.mjs";
import { buildBinary, kernelSettings } from "./build.ts";
import { targets } from "./targets.ts";

vi.mock("../lib/cuda.mjs", () => ({ fetchNvcc: vi.fn(async () => null) }));
vi.mock("../lib/shell.mjs", async (original) => ({
  ...(await original<typeof import("../lib/shell.mjs")>()),
  runNode: vi.fn(async () => ({ code: 0, output: "" })),
}));
vi.mock("node:fs", async (original) => ({ ...(await original<typeof import("node:fs")>()), mkdirSync: vi.fn() }));

test("every target is compiled with its own settings, and for the oldest glibc", async () => {
  for (const target of targets) {
    await buildBinary(target, "out");
    const [, args = [], options] = vi.mocked(runNode).mock.lastCall ?? [];
    const { triple, zig } = target;
    const compiled = args[args.indexOf("--target") + 1];
    expect(compiled).toBe(triple.endsWith("-linux-gnu") ? `${triple}.2.17` : triple);
    expect(args.includes("--cross-compile"), triple).toBe(zig);
    expect(options?.env, triple).toEqual(kernelSettings(target));
  }
});

test("a rehearsal compiles for this machine alone, with the kernels all the same", async () => {
  const [target] = targets;
  if (target === undefined) throw new Error("no targets");
  await buildBinary(target, "out", { native: true });
  const [, args = [], options] = vi.mocked(runNode).mock.lastCall ?? [];
  expect(args[args.indexOf("--target") + 1]).toBe(target.triple);
  expect(args).not.toContain("--cross-compile");
  expect(options?.env).toMatchObject({ TUNESMITH_REQUIRE_CUDA_KERNELS: "1" });
});

test("without nvcc, and with a build that fails, there is no binary", async () => {
  const [target] = targets;
  if (target === undefined) throw new Error("no targets");
  vi.mocked(fetchNvcc).mockResolvedValueOnce("[nvcc] expected nvcc from PyPI, got: no network");
  await expect(buildBinary(target, "out")).rejects.toThrow("[nvcc] expected nvcc from PyPI, got: no network");
  vi.mocked(runNode).mockResolvedValueOnce({ code: 101, output: "" });
  await expect(buildBinary(target, "out")).rejects.toThrow(
    "[build] expected tunesmith.linux-x64-gnu.node, got exit code 101 of napi build",
  );
});

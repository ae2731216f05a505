import { afterEach, expect, test, vi } from "vitest";

afterEach(() => {
  vi.unstubAllEnvs();
  vi.resetModules();
});

test("a binary that does not load is a BinaryMissingError that says what to do", async () => {
  vi.stubEnv("NAPI_RS_NATIVE_LIBRARY_PATH", "/nowhere/tunesmith.node");
  vi.resetModules();
  const { systemInfo } = await import("./index.ts");
  expect(() => systemInfo()).toThrow(
    expect.objectContaining({
      name: "BinaryMissingError",
      code: "BINARY_MISSING",
      message: expect.stringMatching(new RegExp(`${process.platform}-${process.arch}.*npm i @tunesmith/native`)),
      cause: expect.anything(),
    }),
  );
});

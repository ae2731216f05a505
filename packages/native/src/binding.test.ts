import { InternalError } from "@tunesmith/core";
import { afterEach, expect, test, vi } from "vitest";
import { native, nativeAsync } from "./binding.ts";

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
      message: expect.stringMatching(
        new RegExp(`${process.platform}-${process.arch}.*/nowhere/tunesmith.node, which does not load`),
      ),
      cause: expect.anything(),
    }),
  );
});

test("an error whose code is not ours is an InternalError with the original as its cause", async () => {
  const odd = Object.assign(new Error("a string was expected"), { code: "StringExpected" });
  const fail = () => {
    throw odd;
  };
  expect(() => native(fail)).toThrow(InternalError);
  await expect(nativeAsync(async () => fail())).rejects.toMatchObject({
    code: "INTERNAL",
    cause: odd,
    message: odd.message,
  });
});

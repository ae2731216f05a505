import { describe, expect, test } from "vitest";
import {
  AbortError,
  DeviceUnavailableError,
  errorFromCode,
  InternalError,
  ModelFileError,
  OutOfMemoryError,
  TunesmithError,
} from "./index.ts";

describe("errorFromCode", () => {
  test("gives the class of a known code, with its cause", () => {
    const cause = new Error("native");
    const error = errorFromCode("OUT_OF_MEMORY", "[cpu] expected 8 bytes", { cause });
    expect(error).toBeInstanceOf(OutOfMemoryError);
    expect(error).toMatchObject({ code: "OUT_OF_MEMORY", name: "OutOfMemoryError", cause });
    expect(errorFromCode("FILE_MISSING", "x")).toBeInstanceOf(ModelFileError);
    expect(errorFromCode("FILE_MISSING", "x").code).toBe("FILE_MISSING");
    expect(errorFromCode("ABORTED", "x")).toBeInstanceOf(AbortError);
    expect(errorFromCode("DEVICE_UNAVAILABLE", "x")).toBeInstanceOf(DeviceUnavailableError);
  });

  test("takes an unknown code for a defect", () => {
    const error = errorFromCode("NO_SUCH_CODE", "text");
    expect(error).toBeInstanceOf(InternalError);
    expect(error.code).toBe("INTERNAL");
  });
});

describe("isInstance", () => {
  test("recognises an error made by another copy of the package", () => {
    const foreign = Object.assign(new Error("x"), { [Symbol.for("tunesmith.error")]: true, code: "IO" });
    expect(TunesmithError.isInstance(foreign)).toBe(true);
    expect(TunesmithError.isInstance(new Error("x"))).toBe(false);
    expect(TunesmithError.isInstance(null)).toBe(false);
  });
});

import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
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

describe("an error that goes to another thread", () => {
  const codes = ["FILE_MISSING", "OPTION_INVALID", "ABORTED", "LOCKED", "INTERNAL"] as const;
  const sent = codes.map((code) =>
    errorFromCode(code, `[${code}] expected a, got b`, { cause: new Error("why"), hint: "c" }),
  );

  test("has class, code, message, stack and cause again after a structured clone", () => {
    for (const error of sent) {
      const { port1, port2 } = new MessageChannel();
      port1.postMessage(error);
      const clone: unknown = receiveMessageOnPort(port2)?.message;
      port1.close();
      const again = TunesmithError.from(clone);
      expect(again.constructor).toBe(error.constructor);
      expect(again).toMatchObject({ name: error.name, code: error.code, message: error.message, stack: error.stack });
      expect(again.cause).toMatchObject({ message: "why" });
      expect(error.stack).toMatch(new RegExp(`^${error.name} \\[${error.code}\\]: `, "u"));
    }
  });

  test("has class, code, message and hint again from JSON", () => {
    for (const error of sent) {
      const { code, name, message } = error;
      const value: unknown = JSON.parse(JSON.stringify(error));
      expect(value).toEqual({ code, name, message, hint: "c" });
      const again = TunesmithError.from(value);
      expect(again.constructor).toBe(error.constructor);
      expect(again).toMatchObject({ code, name, message, hint: "c" });
    }
  });

  test("is taken as it is where it is one, and for a defect where it is another", () => {
    expect(TunesmithError.from(sent[0])).toBe(sent[0]);
    for (const other of [structuredClone(new TypeError("x")), "x", null, { code: "EPERM", message: "x" }])
      expect(TunesmithError.from(other)).toMatchObject({ code: "INTERNAL", cause: other });
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

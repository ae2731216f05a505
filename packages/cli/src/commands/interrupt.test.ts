import { EventEmitter } from "node:events";
import { expect, test } from "vitest";
import { Interrupt } from "./interrupt.ts";

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("asks at the first %s and ends at the second", (signal, code) => {
  const source = new FakeProcess();
  const told: string[] = [];
  const interrupt = new Interrupt((which) => told.push(which), source);
  expect(interrupt.signal.aborted).toBe(false);
  source.emit(signal);
  expect([interrupt.signal.aborted, interrupt.exitCode, source.exits]).toEqual([true, code, []]);
  source.emit(signal);
  expect([told, source.exits]).toEqual([["first", "second"], [code]]);
  interrupt.dispose();
  expect(source.listenerCount(signal)).toBe(0);
});

test("a terminal that closes says so several times; the run is asked once", () => {
  const source = new FakeProcess();
  const interrupt = new Interrupt(() => {}, source);
  for (let n = 0; n < 3; n += 1) source.emit("SIGHUP");
  expect([interrupt.signal.aborted, interrupt.exitCode, source.exits]).toEqual([true, 129, []]);
  source.emit("SIGTERM");
  expect(source.exits).toEqual([143]);
});

import { expect, test } from "vitest";
import { CargoReader } from "./rust-tests.mjs";
import { tableOf } from "./times.mjs";
import { countReport } from "./typescript-tests.mjs";

function read(output: string) {
  const printed: string[] = [];
  const timed: string[] = [];
  const reader = new CargoReader(
    (line) => printed.push(line),
    (part) => timed.push(part),
  );
  for (const line of output.split("\n")) reader.line(line);
  return { counts: reader.counts, printed: printed.join("\n"), timed, pending: reader.pending };
}

const passing = `     Running unittests src/lib.rs (/t/release/deps/tunesmith_ops-0123456789abcdef)

running 3 tests
test dtype::tests::sizes ... ok

successes:

---- rope::tests::large stdout ----
skipped: set TUNESMITH_FIXTURES to run this test

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
`;

const failing = `     Running tests/cpu.rs (/t/release/deps/cpu-0123456789abcdef)
---- matmul stdout ----
thread 'matmul' panicked at tests/cpu.rs:3:1
test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
   Doc-tests tunesmith_ops
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
`;

test("cargo's results are added up, and a test that says `skipped:` is not counted as passed", () => {
  expect(read(passing).counts).toEqual({ passed: 2, failed: 0, skipped: 2 });
  expect(read(passing + failing).counts).toEqual({ passed: 8, failed: 2, skipped: 2 });
});

test("a passing binary is one line, a failing one is printed whole", () => {
  expect(read(passing).printed).toContain("tunesmith_ops");
  expect(read(passing).printed.split("\n")).toHaveLength(1);
  expect(read(failing).printed).toContain("thread 'matmul' panicked");
});

test("compiling is timed, and every binary", () => {
  const parts = ["compile", "tunesmith_ops src/lib.rs", "cpu tests/cpu.rs", "tunesmith_ops doc"];
  expect(read(passing + failing).timed).toEqual(parts);
});

test("the table of times has the long parts first and the short ones in one line", () => {
  const part = (suite: string, name: string, seconds: number) => ({ suite, part: name, milliseconds: seconds * 1000 });
  const times = [part("Rust", "a", 1), part("Rust", "b", 60), part("Rust", "c", 2.5), part("check", "biome", 0.4)];
  expect(tableOf(times)).toEqual([
    "Rust          b            60 s",
    "Rust          2 others    3.5 s",
    "check         biome       0.4 s",
  ]);
});

test("a build that ends before any test leaves its log", () => {
  expect(read("error[E0425]: cannot find value").pending).toEqual(["error[E0425]: cannot find value"]);
});

test("a test file that does not load counts as a failure", () => {
  const file = (status: string, ...tests: string[]) => ({
    name: "a.test.ts",
    startTime: 0,
    endTime: 0,
    status,
    assertionResults: tests.map((s) => ({ status: s })),
  });
  const report = {
    numPassedTests: 4,
    numFailedTests: 1,
    numPendingTests: 2,
    numTodoTests: 1,
    testResults: [file("failed"), file("failed", "failed", "passed"), file("passed", "passed")],
  };
  expect(countReport(report)).toEqual({ passed: 4, failed: 2, skipped: 3 });
});

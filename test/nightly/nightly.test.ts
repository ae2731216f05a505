import { expect, test } from "vitest";
import { reliabilityPage } from "../../scripts/reliability.ts";
import { reached } from "./formats.ts";

test("a campaign's last line is its result, and no other line is", () => {
  const line = '{"campaign":"gguf","cases":70,"accepted":9,"failures":1,"seconds":2.5}';
  expect(reached(line)).toEqual({ id: "gguf", cases: 70, failures: 1, seconds: 2.5, note: "9 accepted" });
  // The name of the test has no end of line of its own.
  expect(reached(`test gguf::mutations ... ${line}`)?.cases).toBe(70);
  expect(reached("test gguf::mutations ... ok")).toBeUndefined();
});

test("the page shows every row with its figures, failures included", () => {
  const row = { id: "gguf", cases: 1_234_567, failures: 2, seconds: 61.4, note: "9 accepted" };
  const machine = { commit: "0123456789abcdef", clean: true, date: "2026-01-02T03:04:05.000Z", cpu: "a CPU", cores: 2 };
  const page = reliabilityPage([{ part: "formats", what: "files", minutes: 1, threads: 1, machine, rows: [row] }]);
  expect(page).toContain("| `gguf` | 1,234,567 | 2 | 61 | 9 accepted |");
  expect(page).toContain("commit 012345678, 2026-01-02, a CPU, 2 cores");
  expect(reliabilityPage([])).toContain("Nothing has been run yet");
});

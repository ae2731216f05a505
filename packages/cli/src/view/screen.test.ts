import { expect, test } from "vitest";
import { clip, Screen } from "./screen.ts";

function recorder(terminal: { isTTY?: boolean; columns?: number } = {}) {
  const written: string[] = [];
  return { ...terminal, written, write: (text: string) => written.push(text) };
}

test("redraws the status below the lines that stay on a terminal", () => {
  const out = recorder({ isTTY: true, columns: 6 });
  const screen = new Screen(out);
  screen.status("abcdefgh");
  screen.print("line");
  screen.settle();
  expect(out.written.join("")).toBe("abcde\r\u001b[2Kline\nabcde\n");
});

test("writes the status every five seconds elsewhere, and the last one always", () => {
  let now = 0;
  const out = recorder();
  const screen = new Screen(out, () => now);
  for (const time of [0, 1000, 9999, 10_000, 11_000]) {
    now = time;
    screen.status(`at ${time}`);
  }
  screen.status("end", { last: true });
  expect(out.written).toEqual(["at 0\n", "at 10000\n", "end\n"]);
});

test("counts no colour codes when it clips a line", () => {
  expect(clip("\u001b[1mabcd\u001b[22m", 2)).toBe("\u001b[1mab\u001b[22m");
  expect(clip("a→c", 2)).toBe("a→");
});

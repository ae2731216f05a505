import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { expandHome } from "./home.ts";

test("only a tilde that stands alone at the start of a path is the home folder", () => {
  expect(expandHome("~")).toBe(homedir());
  expect(expandHome("~/a b/c")).toBe(join(homedir(), "a b/c"));
  for (const path of ["a/~/b", "~name/a", "./~", "/~/a", "a~", "", "~tilde"]) expect(expandHome(path)).toBe(path);
});

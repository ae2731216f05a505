import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { freeMemory } from "./free-memory.ts";

const roots: string[] = [];

/** A folder that looks like the root of a machine. */
function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "tunesmith-free-"));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

const meminfo = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n";

test("is what the machine has available where no group limits it", () => {
  expect(freeMemory(machine({ "proc/meminfo": meminfo }))).toBe(8_000_000 * 1024);
  const unlimited = { "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "500\n" };
  expect(freeMemory(machine({ "proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", ...unlimited }))).toBe(
    8_000_000 * 1024,
  );
});

test("is what the tightest group of either version leaves, cached files not counted as used", () => {
  const two = {
    "proc/meminfo": meminfo,
    "proc/self/cgroup": "0::/a/b\n",
    "sys/fs/cgroup/a/memory.max": "3000000000\n",
    "sys/fs/cgroup/a/memory.current": "2000000000\n",
    "sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 700000000\n",
    "sys/fs/cgroup/a/b/memory.max": "2500000000\n",
    "sys/fs/cgroup/a/b/memory.current": "100000000\n",
  };
  expect(freeMemory(machine(two))).toBe(1_700_000_000);
  const one = {
    "proc/meminfo": meminfo,
    "proc/self/cgroup": "12:cpu:/x\n5:memory,hugetlb:/docker/c\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
    "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/docker/c/memory.usage_in_bytes": "4000\n",
  };
  expect(freeMemory(machine(one))).toBe(0);
});

test("is something wherever there is no such file", () => {
  expect(freeMemory(machine({}))).toBeGreaterThan(0);
  expect(freeMemory()).toBeGreaterThan(0);
});

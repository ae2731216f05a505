// Memory that this process may still take: what the machine has free, and what its control groups leave.
import { readFileSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";

/** Reads a file; null where there is none. */
function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The number on the line of a name, as in `MemAvailable: 12 kB` and `inactive_file 4096`; null where there is none. */
function line(text: string | null, name: string): number | null {
  const found = new RegExp(`^${name}:?\\s+(\\d+)`, "mu").exec(text ?? "")?.[1];
  return found === undefined ? null : Number(found);
}

/** A limit in bytes; null for `max` and for the huge number by which the first version says the same. */
function limitOf(text: string | null): number | null {
  const limit = Number(text?.trim());
  return text === null || !Number.isSafeInteger(limit) ? null : limit;
}

/** What a control group leaves: its limit less what it uses, of which cached files can be dropped. Null without a limit. */
function leftIn(folder: string, names: { limit: string; usage: string; cache: string }): number | null {
  const limit = limitOf(read(join(folder, names.limit)));
  const usage = limitOf(read(join(folder, names.usage)));
  if (limit === null || usage === null) return null;
  return Math.max(0, limit - usage + (line(read(join(folder, "memory.stat")), names.cache) ?? 0));
}

/** The folders of a group and of all groups around it. */
function ancestors(base: string, group: string): string[] {
  const parts = group.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, length) => join(base, ...parts.slice(0, length)));
}

/**
 * Bytes that this process may still take: the least of what Linux calls available and of what every control group around the
 * process leaves, in both versions. Elsewhere what the operating system calls free.
 *
 * @param root where `/proc` and `/sys` are, for tests
 */
export function freeMemory(root = "/"): number {
  const available = line(read(join(root, "proc/meminfo")), "MemAvailable");
  const left = [available === null ? freemem() : available * 1024];
  const base = join(root, "sys/fs/cgroup");
  for (const group of (read(join(root, "proc/self/cgroup")) ?? "").split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/u.exec(group) ?? [];
    if (controllers === "" && path !== "") {
      const names = { limit: "memory.max", usage: "memory.current", cache: "inactive_file" };
      for (const folder of ancestors(base, path)) left.push(leftIn(folder, names) ?? Number.POSITIVE_INFINITY);
    } else if (controllers.split(",").includes("memory")) {
      const names = {
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        cache: "total_inactive_file",
      };
      for (const folder of ancestors(join(base, "memory"), path))
        left.push(leftIn(folder, names) ?? Number.POSITIVE_INFINITY);
    }
  }
  return Math.min(...left);
}

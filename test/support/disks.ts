// Disks of their own for tests, where the system lets one mount them.
import { execFileSync, spawnSync } from "node:child_process";

/** Mounts a disk of this many kilobytes; false where that is not allowed. */
export function mounted(folder: string, size: number, ...more: string[]): boolean {
  const options = [...more, `size=${size}k`].join(",");
  return spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder], { stdio: "ignore" }).status === 0;
}

/** Whether this process may mount disks. */
export function mayMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const folder = execFileSync("mktemp", ["-d"], { encoding: "utf8" }).trim();
  const may = mounted(folder, 64);
  if (may) execFileSync("umount", [folder]);
  return may;
}

// Who a process is: its id, its host, this start of the host, and when it began; and whether such a process is still there.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** What tells a process from every other, also from later ones with the same id. */
export interface ProcessIdentity {
  pid: number;
  host: string;
  /** Changes whenever the host starts again; null where the system has no such id. */
  bootId: string | null;
  /** When the process began, in the system's own ticks; null where the system does not say. */
  began: string | null;
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), bootId: bootId(), began: beginningOf(process.pid) };
}

/** Whether a process of this host is still there: no later start of the host, no other process with its id. */
export function isRunning({ pid, bootId: boot, began }: ProcessIdentity): boolean {
  if (boot !== bootId() || !exists(pid)) return false;
  const now = beginningOf(pid);
  return began === null || now === null || now === began;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  // One that has ended keeps its id until its parent asks for its exit code.
  return !/^[ZX]/u.test(statOf(pid) ?? "");
}

let knownBootId: string | null | undefined;

function bootId(): string | null {
  knownBootId ??= readBootId();
  return knownBootId;
}

function readBootId(): string | null {
  try {
    if (process.platform === "linux") return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    if (process.platform === "darwin")
      return execFileSync("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"], { encoding: "utf8" }).trim();
  } catch {
    // A sandbox may hide it.
  }
  return null;
}

/** Field 22 of proc(5)'s stat: clock ticks from the start of the host. */
function beginningOf(pid: number): string | null {
  return statOf(pid)?.split(" ")[19] ?? null;
}

/** The fields of proc(5)'s stat from the state on, the third; the name before it may hold spaces and brackets. */
function statOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2);
  } catch {
    return null;
  }
}

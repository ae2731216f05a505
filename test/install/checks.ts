// Everything that is checked of an installed release, in order; what each commit checks of it is in install.test.ts.
import type { InstallCheck } from "./check.ts";
import { commandChecks } from "./commands.ts";
import { missingChecks } from "./missing.ts";
import { moduleChecks } from "./modules.ts";
import { openedFiles } from "./opened.ts";
import { queueCheck } from "./queue.ts";
import { tarballChecks } from "./tarballs.ts";

/** The run of `train and resume` is what those after it use. */
export const checks: readonly InstallCheck[] = [
  ...tarballChecks,
  ...commandChecks,
  openedFiles,
  ...moduleChecks,
  ...missingChecks,
  queueCheck,
];

/** What the checks need beside our packages: the types of Node, as every TypeScript program of Node has them. */
export const others: Record<string, string> = { "@types/node": "^20.19" };

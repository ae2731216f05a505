// Runs a command line in a process of its own, for tests of signals and streams.
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Starts a command line; its output is piped unless told otherwise. */
export function spawnCli(argv: readonly string[], stdio: StdioOptions = "pipe"): ChildProcess {
  const main = join(root, "packages/cli/src/main.ts");
  const code = `import(${JSON.stringify(main)}).then(({ main }) => main(${JSON.stringify(argv)}))`;
  return spawn(process.execPath, ["--import", "tsx", "--eval", code], {
    cwd: root,
    // Colours would be asked for by CI.
    env: { ...process.env, TSX_TSCONFIG_PATH: join(root, "tsconfig.json"), NO_COLOR: "1" },
    stdio,
  });
}

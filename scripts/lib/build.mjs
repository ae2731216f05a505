// Builds everything through turbo: the native binding by napi and cargo, the packages by tsc. What is up to date is skipped.
import { bin, bold, runNode, seconds } from "./shell.mjs";

/**
 * Resolves to the exit code. Quiet: one line, and the log only when the build fails.
 *
 * @param {{ tasks?: string[], args?: string[], quiet?: boolean }} [options]
 */
export async function build({ tasks = ["build"], args = [], quiet = false } = {}) {
  const command = ["run", ...tasks, "--output-logs=new-only", ...args];
  if (!quiet) return (await runNode(bin.turbo, command, { inherit: true })).code;
  const start = Date.now();
  // The first build compiles the engine; silence for minutes reads as a hang.
  const patience = setTimeout(
    () => console.log("build: compiling the engine, two to five minutes the first time"),
    3000,
  );
  const { code, output } = await runNode(bin.turbo, command);
  clearTimeout(patience);
  if (code !== 0) console.error(output);
  console.log(`build: ${code === 0 ? `ready in ${seconds(Date.now() - start)}` : bold("failed, see above")}`);
  return code;
}

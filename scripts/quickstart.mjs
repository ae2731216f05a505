// npm run quickstart [-- OPTIONS]: sets up, builds and runs examples/quickstart with the options given.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";
import { runNode } from "./lib/shell.mjs";

const ready = (await setup({ quiet: true })) && (await build({ quiet: true })) === 0;
if (ready) {
  // Ctrl-C reaches the whole process group; the program saves and prints how to go on, so it decides when to end.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => {});
  const { code } = await runNode(["examples/quickstart/dist/quickstart.js"], process.argv.slice(2), { inherit: true });
  process.exitCode = code;
} else {
  process.exitCode = 1;
}

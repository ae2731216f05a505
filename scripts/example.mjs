// npm run quickstart [-- OPTIONS]: sets up, builds and runs examples/quickstart with the options given.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";
import { runNode } from "./lib/shell.mjs";

const ready = (await setup({ quiet: true })) && (await build({ quiet: true })) === 0;
if (ready) {
  const { code } = await runNode(["examples/quickstart/dist/quickstart.js"], process.argv.slice(2), { inherit: true });
  process.exitCode = code;
} else {
  process.exitCode = 1;
}

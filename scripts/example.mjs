// npm run quickstart|example:NAME [-- OPTIONS]: sets up, builds and runs a program of examples/quickstart with the options given.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";
import { runNode } from "./lib/shell.mjs";

const [name, ...options] = process.argv.slice(2);
const ready = (await setup({ quiet: true })) && (await build({ quiet: true })) === 0;
if (ready) {
  const { code } = await runNode([`examples/quickstart/dist/${name}.js`], options, { inherit: true });
  process.exitCode = code;
} else {
  process.exitCode = 1;
}

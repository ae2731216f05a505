// node scripts/run.mjs FILE.ts [ARGUMENTS]: sets up, builds and runs a TypeScript program of the repository.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";
import { bin, runNode } from "./lib/shell.mjs";

const ready = (await setup({ quiet: true })) && (await build({ quiet: true })) === 0;
process.exitCode = ready ? (await runNode(bin.tsx, process.argv.slice(2), { inherit: true })).code : 1;

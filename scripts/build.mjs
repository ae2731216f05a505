// npm run build [-- TURBO OPTIONS]: sets up and builds; for example `-- --filter=@tunesmith/data`.
import { build } from "./lib/build.mjs";
import { setup } from "./lib/setup.mjs";

process.exitCode = (await setup({ quiet: true })) ? await build({ args: process.argv.slice(2) }) : 1;

#!/usr/bin/env node
// A file of its own, since npm links commands before anything is built.
import module from "node:module";

// Node 22.8 and newer keep what they have compiled, in the folder for temporary files or where NODE_COMPILE_CACHE says.
module.enableCompileCache?.();
const { main } = await import("../dist/program/main.js");

await main(process.argv.slice(2));

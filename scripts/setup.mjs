// npm run setup: checks Node, Rust, g++ and Python, and installs the npm packages.
import { setup } from "./lib/setup.mjs";

process.exitCode = (await setup()) ? 0 : 1;

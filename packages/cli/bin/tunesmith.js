#!/usr/bin/env node
// A file of its own, since npm links commands before anything is built.
import { main } from "../dist/main.js";

await main(process.argv.slice(2));

// npm run clean [-- --all]: removes what the build made; with --all also compiled Rust and node_modules.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib/shell.mjs";

const made = ["dist", "binding", ".turbo", "coverage", "release"];
const folders = [
  ".",
  ...["packages", "examples"].flatMap((name) => readdirSync(join(root, name)).map((child) => join(name, child))),
];
const paths = folders.flatMap((folder) => made.map((name) => join(folder, name)));
if (process.argv.includes("--all")) paths.push("target", "node_modules");
for (const path of paths) rmSync(join(root, path), { recursive: true, force: true });

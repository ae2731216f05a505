// npm run gpu:pack [-- --wheels DIR] [--fixtures DIR] [--out DIR] [--emulated]: one folder that any x86-64 Linux machine with an NVIDIA driver runs without Node, Rust or network.
import { parseArgs } from "node:util";
import { pack } from "./lib/gpu-pack.mjs";

const { values } = parseArgs({
  options: {
    wheels: { type: "string" },
    fixtures: { type: "string" },
    out: { type: "string", default: "gpu-pack" },
    emulated: { type: "boolean", default: false },
  },
});
process.exitCode = await pack(values);

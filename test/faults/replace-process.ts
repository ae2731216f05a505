// Replaces a folder, and ends by SIGKILL before an operation: `replace-process.ts FOLDER OPERATION`.
import { join } from "node:path";
import { fileOperations, replaceFolder, writeText } from "@tunesmith/core";

const [target = "", operation = ""] = process.argv.slice(2);
let left = Number(operation);
fileOperations.before = () => {
  if (left === 0) process.kill(process.pid, "SIGKILL");
  left -= 1;
};
await replaceFolder(target, async (folder) => {
  for (const name of ["a", "b"]) await writeText(join(folder, name), "new");
});

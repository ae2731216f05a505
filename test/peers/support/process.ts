// Programs that are asked on standard input and answer on standard output.
import { spawn } from "node:child_process";

/** Runs a program and gives what it wrote; its errors are part of the error. */
export async function runProcess(command: string, argv: readonly string[], input = ""): Promise<string> {
  const child = spawn(command, argv, { stdio: ["pipe", "pipe", "pipe"] });
  const written = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written.err += text;
  });
  // A program that ends before it has read everything says why on its own.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const code = await new Promise<number | null>((done, fail) => {
    child.on("error", fail);
    child.on("close", done);
  });
  if (code === 0) return written.out;
  throw new Error(`[${argv[0]}] expected success, got exit ${code}: ${written.err.slice(-2000)}`);
}

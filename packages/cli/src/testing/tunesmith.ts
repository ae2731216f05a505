// Runs a command line in this process, for tests of what it says.
import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { runProgram } from "../program.ts";
import { reportFailure } from "../view/failure.ts";

/** Runs a command line in this process; gives its exit code and what it wrote, without colours. */
export async function tunesmith(argv: string[], typed = ""): Promise<{ code: number; out: string; err: string }> {
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err") => ({
    write: (text: string) => {
      written[name] += text;
    },
  });
  const input = new PassThrough();
  input.end(typed);
  let code = 0;
  const finish = (exit: number) => {
    code = exit;
  };
  try {
    await runProgram(argv, { streams: { out: stream("out"), err: stream("err") }, input, finish });
  } catch (error) {
    code = reportFailure(error, stream("err"));
  }
  return { code, out: stripVTControlCharacters(written.out), err: stripVTControlCharacters(written.err) };
}

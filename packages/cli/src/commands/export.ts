// `tunesmith export`: a model, or an adapter alone, as a file for llama.cpp; the card of a run; whether another program reads an
// export.
import { stat } from "node:fs/promises";
import { expandHome, terminalText } from "@tunesmith/core";
import {
  checkExport,
  exportGguf,
  exportGgufLora,
  exportReaders,
  OptionError,
  quantizationOf,
  writeModelCard,
  writeModelfile,
} from "@tunesmith/sdk";
import pc from "picocolors";
import { display } from "../view/display.ts";
import { bytes } from "../view/format.ts";
import { modelOf } from "./run-target.ts";
import type { Streams } from "./train.ts";
import { choice, required, runWrite, sourceOf } from "./write.ts";

/** `tunesmith export gguf`. Gives the exit code. */
export async function exportToGguf(target: string, flags: Record<string, unknown>, streams: Streams): Promise<number> {
  const { out } = streams;
  const output = expandHome(required("--output", flags.output, "the .gguf file to write"));
  const source = await sourceOf(target, flags);
  const { model, adapter } = source;
  const overwrite = flags.overwrite === true;
  let notes: string[] = [];
  let code = 0;
  if (flags.lora === true) {
    if (adapter === null) {
      throw new OptionError("[--lora] expected an adapter, got a model without one; give a run folder or --adapter");
    }
    const quantization = choice("--quantization", flags.quantization ?? "f32", ["f32", "f16", "bf16"]);
    if (flags.modelfile === true)
      throw new OptionError("[--modelfile] expected none with --lora, whose base model it would have to name, got one");
    if (flags.imatrix !== undefined)
      throw new OptionError("[--imatrix] expected none with --lora, whose factors are not quantised, got a file");
    await exportGgufLora({ model, adapter, output, quantization, overwrite });
  } else {
    const given = flags.quantization ?? "q8_0";
    const quantization = quantizationOf(given, "--quantization");
    const weighed = flags.imatrix === undefined ? {} : { imatrix: expandHome(String(flags.imatrix)) };
    const options = { ...source, output, quantization, overwrite, ...weighed };
    code = await runWrite("export", streams, async (control) => {
      notes = await exportGguf({ ...options, ...control });
    });
    if (String(given).toLowerCase() !== quantization) notes.unshift(`${given} is Unsloth's name for ${quantization}`);
  }
  if (code !== 0) return code;
  out.write(`written  ${display(output)} (${bytes((await stat(output)).size)})\n`);
  if (flags.modelfile === true) {
    const modelfile = await writeModelfile(output, { model, overwrite });
    out.write(`written  ${display(modelfile.path)}\n`);
    notes.push(...modelfile.notes);
  }
  for (const note of notes) out.write(`note     ${terminalText(note)}\n`);
  return 0;
}

/** `tunesmith export card`. Gives the exit code. */
export async function exportCard(run: string, flags: Record<string, unknown>, { out }: Streams): Promise<number> {
  const output = flags.output === undefined ? {} : { path: expandHome(String(flags.output)) };
  const { path, figure } = await writeModelCard(expandHome(run), { ...output, overwrite: flags.overwrite === true });
  for (const file of [path, figure]) if (file !== null) out.write(`written  ${display(file)}\n`);
  return 0;
}

/** A run folder stands for its result, as with the other commands. */
async function trainedOf(path: string): Promise<string> {
  const { run, adapter, model } = await modelOf(path, undefined);
  return run === null ? path : (adapter ?? model);
}

/** `tunesmith export --check`. Gives the exit code: 1 where the reader does not take it. */
export async function checkForReader(
  path: string | undefined,
  flags: Record<string, unknown>,
  { out }: Streams,
): Promise<number> {
  if (path === undefined || flags.check === undefined)
    throw new OptionError(
      "[export] expected a command, gguf or card, or --check READER PATH, got neither; see: tunesmith export --help",
    );
  const reader = choice("--check", flags.check, exportReaders);
  const { problems, notes, commands } = await checkExport(await trainedOf(expandHome(path)), reader);
  for (const problem of problems) out.write(`${pc.red("problem")}  ${terminalText(problem)}\n`);
  for (const note of notes) out.write(`note     ${terminalText(note)}\n`);
  if (problems.length > 0) return 1;
  for (const command of commands) out.write(`${command}\n`);
  return 0;
}

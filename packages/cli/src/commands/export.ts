// `tunesmith export gguf`: a model, or an adapter alone, as a file for llama.cpp.
import { stat } from "node:fs/promises";
import { expandHome, terminalText } from "@tunesmith/core";
import { exportGguf, exportGgufLora, ggufQuantizations, OptionError } from "@tunesmith/sdk";
import { display } from "../view/display.ts";
import { bytes } from "../view/format.ts";
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
    await exportGgufLora({ model, adapter, output, quantization, overwrite });
  } else {
    const quantization = choice("--quantization", flags.quantization ?? "q8_0", ggufQuantizations);
    const options = { ...source, output, quantization, overwrite };
    code = await runWrite("export", streams, async (control) => {
      notes = await exportGguf({ ...options, ...control });
    });
  }
  if (code !== 0) return code;
  out.write(`written  ${display(output)} (${bytes((await stat(output)).size)})\n`);
  for (const note of notes) out.write(`note     ${terminalText(note)}\n`);
  return 0;
}

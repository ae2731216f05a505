// Every command of the command line, once, on a small model, as a user types it after `npm install tunesmith`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { InstallCheck } from "./check.ts";
import { interrupted, mustEnd, mustExist, mustSay, type Place } from "./place.ts";

/** Long enough that a run can be interrupted, short enough for every commit. */
const steps = 300;

const training = (outputDir: string) => {
  const given = { model: "model", data: "train.jsonl", "output-dir": outputDir, "max-steps": String(steps) };
  const more = { "learning-rate": "1e-3", "per-device-train-batch-size": "2", "logging-steps": "50" };
  return ["train", ...Object.entries({ ...given, ...more }).flatMap(([name, value]) => [`--${name}`, value]), "--json"];
};

const adapterOf = (place: Place, run: string) =>
  readFileSync(join(place.folder, run, "adapter/adapter_model.safetensors"));

/** Trains, trains again with an interruption, and resumes: both adapters have the same bytes. */
export const trainAndResume: InstallCheck = {
  id: "train and resume",
  async run(place) {
    mustEnd(await place.tunesmith(training("runs/whole")));
    const stopped = await interrupted(place.folder, training("runs/stopped"), (line) =>
      line.startsWith('{"type":"step"'),
    );
    mustEnd(stopped, 130);
    mustSay(stopped.err, /tunesmith resume runs\/stopped/u);
    mustEnd(await place.tunesmith(["resume", "runs/stopped"]));
    if (!adapterOf(place, "runs/whole").equals(adapterOf(place, "runs/stopped")))
      throw new Error(
        "expected the adapter of the run that was interrupted to be that of the whole run, got other bytes",
      );
    return `${steps} steps`;
  },
};

/** An answer of the run at the command line. */
export const chat: InstallCheck = {
  id: "chat",
  async run(place) {
    const { out } = mustEnd(await place.tunesmith(["chat", "runs/whole", "--max-new-tokens", "8"], "hello\n"));
    mustSay(out, /\S/u);
    return "";
  },
};

const doctor: InstallCheck = {
  id: "doctor",
  async run(place) {
    const { out } = mustEnd(await place.tunesmith(["doctor"]));
    mustSay(out, /^ok\s+engine\s+\d+\.\d+\.\d+/mu);
    mustSay(out, /^ok\s+node\s+Node \d+/mu);
    return /^ok\s+engine\s+(.*)$/mu.exec(out)?.[1] ?? "";
  },
};

const merge: InstallCheck = {
  id: "merge",
  async run(place) {
    const { out, err } = mustEnd(await place.tunesmith(["merge", "runs/whole", "--output", "merged"]));
    mustExist(place.folder, "merged/model.safetensors");
    mustSay(out + err, /100/u);
    mustEnd(await place.tunesmith(["chat", "merged", "--max-new-tokens", "4"], "hello\n"));
    return "";
  },
};

const exportGguf: InstallCheck = {
  id: "export gguf",
  async run(place) {
    const args = ["export", "gguf", "runs/whole", "--output", "model.gguf", "--quantization", "f16"];
    mustEnd(await place.tunesmith(args));
    mustSay(readFileSync(join(place.folder, "model.gguf")).subarray(0, 4).toString("latin1"), /^GGUF$/u);
    mustEnd(await place.tunesmith(["chat", "model.gguf", "--max-new-tokens", "4"], "hello\n"));
    return "";
  },
};

/** A benchmark of the machine, by nothing but what is installed. */
export const bench: InstallCheck = {
  id: "bench",
  async run(place) {
    const { out } = mustEnd(await place.tunesmith(["bench", "--size", "tiny", "--json", "bench.json"]));
    mustSay(out, /^\| qlora 4x128 +\| +\d/mu);
    mustExist(place.folder, "bench.json");
    return "";
  },
};

/** In the order in which a user runs them. */
export const commandChecks: readonly InstallCheck[] = [doctor, bench, trainAndResume, chat, merge, exportGguf];

// The packages as modules: imported, required, and compiled strictly under both ways in which a project resolves them.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { InstallCheck } from "./check.ts";
import { mustEnd, mustSay, type Place } from "./place.ts";

const generating = `
const model = await FastLanguageModel.fromPretrained("model", { adapter: "runs/whole/adapter" });
let text = "";
for await (const piece of model.generate("hello", { maxNewTokens: 8 })) text += piece;
console.log(JSON.stringify({ text }));
`;

/** An answer of the run's adapter, in an ES module. */
export const importAndGenerate: InstallCheck = {
  id: "import and generate",
  async run(place) {
    writeFileSync(join(place.folder, "generate.mjs"), `import { FastLanguageModel } from "tunesmith";\n${generating}`);
    const { out } = mustEnd(await place.node(["generate.mjs"]));
    mustSay(out, /"text":".+"/u);
    return "";
  },
};

/** The same in CommonJS, which gets the ES module by `require`. */
export const requireAndGenerate: InstallCheck = {
  id: "require and generate",
  async run(place) {
    const code = `const { FastLanguageModel } = require("tunesmith");\n(async () => {${generating}})();\n`;
    writeFileSync(join(place.folder, "generate.cjs"), code);
    const { out, err } = mustEnd(await place.node(["generate.cjs"]));
    mustSay(out, /"text":".+"/u);
    return /ExperimentalWarning/u.test(err) ? "with Node's warning that requiring an ES module is experimental" : "";
  },
};

/** A program that uses what types can get wrong: options, events by type, errors by code. */
const typed = `
import { FastLanguageModel, SFTTrainer, TunesmithError, type SFTConfig, type TrainResult } from "tunesmith";
import { FastLanguageModel as Same } from "@tunesmith/sdk";
const args: SFTConfig = { outputDir: "runs/typed", maxSteps: 1, learningRate: 1e-3, optim: "adamw_torch" };
export async function train(): Promise<TrainResult> {
  const base: FastLanguageModel = await Same.fromPretrained("model", { device: "cpu" });
  const trainer = new SFTTrainer({ model: base.getPeftModel({ r: 4 }), trainDataset: "train.jsonl", args });
  const run = trainer.train();
  for await (const event of run) {
    if (event.type === "step") event.loss.toFixed(3);
    // @ts-expect-error an event has no such type
    if (event.type === "stap") throw new Error();
  }
  return await run;
}
export const codeOf = (error: unknown): string => (error instanceof TunesmithError ? error.code : "");
// @ts-expect-error no such option
export const wrong: SFTConfig = { learningrate: 1 };
`;

const compiled = (module: string, moduleResolution: string): InstallCheck => ({
  id: `types under ${moduleResolution}`,
  async run(place) {
    writeTypeScript(place, "typed.mts", typed);
    const strict = [
      "--strict",
      "--exactOptionalPropertyTypes",
      "--noUncheckedIndexedAccess",
      "--skipLibCheck",
      "false",
    ];
    const how = [
      "--noEmit",
      "--module",
      module,
      "--moduleResolution",
      moduleResolution,
      "--target",
      "es2022",
      "--types",
      "node",
    ];
    mustEnd(await place.tsc([...strict, ...how, "--lib", "es2023,esnext.disposable", "typed.mts"]));
    return "";
  },
});

export function writeTypeScript(place: Place, name: string, text: string): void {
  writeFileSync(join(place.folder, name), text);
}

export const moduleChecks: readonly InstallCheck[] = [
  importAndGenerate,
  requireAndGenerate,
  compiled("node16", "node16"),
  compiled("preserve", "bundler"),
];

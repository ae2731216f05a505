import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { tried } from "../../packages/core/src/testing/trials.ts";
import { smallModel, temporaryFolder } from "../support/runs.ts";

const secret = "hf_Pl4ntedT0kenOfTheTest+/=";
const password = "pa55:w0rd+/=";

/** A secret in the forms in which it could be written down. */
function forms(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const texts = [text, bytes.toString("base64"), bytes.toString("hex"), encodeURIComponent(text), JSON.stringify(text)];
  return [...texts.map((form) => Buffer.from(form)), Buffer.from(text, "utf16le")];
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

const root = resolve(import.meta.dirname, "../..");

function tunesmith(argv: string[]) {
  const main = join(root, "packages/cli/src/main.ts");
  const code = `import(${JSON.stringify(main)}).then(({ main }) => main(${JSON.stringify(argv)}))`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--import", "tsx", "--eval", code], {
    cwd: root,
    env: {
      ...process.env,
      TSX_TSCONFIG_PATH: join(root, "tsconfig.json"),
      HF_TOKEN: secret,
      HF_ENDPOINT: `http://user:${encodeURIComponent(password)}@127.0.0.1:9`,
      WANDB_API_KEY: secret,
    },
  });
  return { status, said: Buffer.concat([stdout, stderr]) };
}

test("no token and no password stands in what a run writes or says, in any form", () => {
  const folder = temporaryFolder();
  const data = join(folder, "rows.jsonl");
  writeFileSync(data, '{"prompt":"two and two is","completion":" four"}\n'.repeat(8));
  const run = join(folder, "run");
  const common = ["--data", data, "--max-steps", "2", "--eval-steps", "1", "--device", "cpu"];
  const trained = tunesmith([
    "train",
    "--model",
    smallModel("llama"),
    "--output-dir",
    run,
    ...common,
    "--eval-data",
    data,
  ]);
  expect(trained.status, trained.said.toString()).toBe(0);
  const outputs: [string, Buffer][] = [["train", trained.said]];
  for (const argv of [
    ["doctor"],
    ["train", "--model", "someone/something", "--output-dir", join(folder, "other"), ...common, "--debug"],
  ])
    outputs.push([argv.join(" "), tunesmith(argv).said]);
  for (const path of files(folder)) outputs.push([path, readFileSync(path)]);
  for (const [place, bytes] of outputs)
    for (const form of [...forms(secret), ...forms(password)]) expect(bytes.includes(form), place).toBe(false);
  tried(outputs.length * forms(secret).length, `${outputs.length} outputs`);
}, 300_000);

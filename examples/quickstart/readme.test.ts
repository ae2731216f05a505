import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("the fifteen lines of the README train a model and talk to it", async () => {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const program = /```ts\n(.*?)```/su.exec(readme)?.[1] ?? "";
  expect(program.trimEnd().split("\n")).toHaveLength(15);

  const folder = await mkdtemp(join(tmpdir(), "tunesmith-readme-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const model = join(root, "test/fixtures/models/llama");
  await writeFile(join(folder, "program.mts"), program.replace("HuggingFaceTB/SmolLM2-135M-Instruct", model));
  const row = {
    messages: [
      { role: "user", content: "hello" },
      { role: "assistant", content: "well done" },
    ],
  };
  const rows = `${JSON.stringify(row)}\n`.repeat(8);
  await writeFile(join(folder, "train.jsonl"), rows);
  await writeFile(join(folder, "held-out.jsonl"), rows);

  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), "program.mts"],
    {
      cwd: folder,
      env: { ...process.env, TSX_TSCONFIG_PATH: join(root, "tsconfig.json") },
    },
  );
  expect(stdout).toMatch(/^eval loss \S+\nstep 1: loss \S+\nstep 2: loss \S+\neval loss \S+\n/u);
  expect(await readdir(join(folder, "runs/tickets/adapter"))).toContain("adapter_model.safetensors");
});

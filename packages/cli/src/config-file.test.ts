import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readConfigFile } from "./config-file.ts";

describe("readConfigFile", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tunesmith-config-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const read = async (text: string | Uint8Array) => {
    const path = join(folder, "train.yaml");
    await writeFile(path, text);
    return readConfigFile(path);
  };

  test("reads YAML and JSON with keys in any spelling", async () => {
    const expected = {
      model: "org/name",
      evalData: "b.jsonl",
      learningRate: 2e-4,
      targetModules: ["q_proj"],
      maxLength: null,
    };
    expect(
      await read(
        "model: org/name\neval_data: b.jsonl\nlearning-rate: 2e-4\ntargetModules: [q_proj]\nmax_seq_length: null\n",
      ),
    ).toEqual(expected);
    expect(await read(JSON.stringify(expected))).toEqual(expected);
  });

  test("other bytes than UTF-8 and tags of another program are refused, a byte order mark is not", async () => {
    expect(await read("\uFEFFoutput_dir: año\r\n")).toEqual({ outputDir: "año" });
    await expect(read(Buffer.from("output_dir: año\n", "latin1"))).rejects.toThrow(/train.yaml\] expected UTF-8, got/u);
    await expect(read("output_dir: !!python/tuple out")).rejects.toThrow(/got Unresolved tag: .*python/u);
  });

  test.each([
    ["lerning_rate: 1", /did you mean "learningRate"/u],
    ["learning_rate: 1\nlearningRate: 2", /twice/u],
    ["a: [1", /line 1|YAML/u],
    ["- model", /got a list/u],
    ["", /keys and values/u],
  ])("refuses %j", async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({ code: "OPTION_INVALID", message: expect.stringMatching(message) });
  });

  test.each([
    ["a misspelt name", "model: m\n\nlerning_rate: 1\n", ["train.yaml:3:1] expected a known option"]],
    ["a wrong value", "model: m\nlearning-rate: fast\n", ["train.yaml:2:1: learningRate] expected a number"]],
    [
      "JSON",
      '{"model": "m",\n  "epoch": 1, "maxSteps": 1.5}',
      ["train.yaml:2:3] expected", "train.yaml:2:15: maxSteps] expected"],
    ],
    ["a name in two spellings", "max_steps: 1\nmaxSteps: 2\n", ['train.yaml:2:1] expected "maxSteps" once']],
    ["a byte order mark", "\uFEFFlerning_rate: 1", ["train.yaml:1:1] expected a known option"]],
    ["what is no YAML", "model: m\na: [1", ["train.yaml:2:6] expected YAML or JSON"]],
  ])("says the line and column of %s", async (_, text, places) => {
    const { message } = await read(text).then(
      () => new Error("nothing was refused"),
      (error: Error) => error,
    );
    for (const place of places) expect(message).toContain(place);
  });

  test("all that is wrong is told together, and once where options are described", async () => {
    const { message } = await read("lerning_rate: 1\nmax_steps: many\nsavesteps: 2\n").then(
      () => new Error("nothing was refused"),
      (error: Error) => error,
    );
    expect(message.match(/train\.yaml:\d:1/gu)).toEqual(["train.yaml:1:1", "train.yaml:3:1", "train.yaml:2:1"]);
    expect(message.match(/docs\/options\.md/gu)).toHaveLength(1);
  });

  test("names a file that cannot be read", async () => {
    await expect(readConfigFile(join(folder, "none.yaml"))).rejects.toMatchObject({
      code: "IO",
      message: expect.stringContaining("none.yaml"),
    });
  });
});

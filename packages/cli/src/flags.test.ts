import { kebabCase, namesOf } from "@tunesmith/core";
import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { addSchemaFlags, flagsOf, flagValues, normaliseFlags, trainingSchemas } from "./flags.ts";

function parse(...argv: string[]): Record<string, unknown> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addSchemaFlags(command, trainingSchemas);
  return flagValues(command.parse(normaliseFlags(argv, flagsOf(command)), { from: "user" }));
}

describe("flags of the schemas", () => {
  test("has one flag per option, described", () => {
    const command = new Command();
    addSchemaFlags(command, trainingSchemas);
    expect(command.options.map(({ long }) => long).sort()).toEqual(
      namesOf(trainingSchemas)
        .map((name) => `--${kebabCase(name)}`)
        .sort(),
    );
    expect(command.options.filter(({ description }) => description === "")).toEqual([]);
  });

  test("reads every kind of value", () => {
    expect(
      parse("--learning-rate", "1e-3", "--max-steps", "-1", "--output-dir", "runs/7", "--gradient-checkpointing"),
    ).toEqual({
      learningRate: 1e-3,
      maxSteps: -1,
      outputDir: "runs/7",
      gradientCheckpointing: true,
    });
    expect(parse("--assistant-only-loss", "false", "--max-length", "none", "--eval-strategy", "epoch")).toEqual({
      assistantOnlyLoss: false,
      maxLength: null,
      evalStrategy: "epoch",
    });
  });

  test("reads lists: names apart by commas, texts as they are", () => {
    expect(parse("--target-modules", "q_proj,v_proj", "k_proj")).toEqual({
      targetModules: ["q_proj", "v_proj", "k_proj"],
    });
    expect(parse("--target-modules", "all-linear")).toEqual({ targetModules: "all-linear" });
    expect(parse("--sample-prompts", "Hello, you", "and you")).toEqual({ samplePrompts: ["Hello, you", "and you"] });
  });

  test("reads what adapters take: expressions, layers, values by name", () => {
    expect(parse("--target-modules", ".*(q|v)_proj", "--exclude-modules", "lm_head", "--lora-dropout", "0.1")).toEqual({
      targetModules: ".*(q|v)_proj",
      excludeModules: ["lm_head"],
      loraDropout: 0.1,
    });
    expect(parse("--layers-to-transform", "0,2", "5", "--modules-to-save", "embed_tokens,lm_head")).toEqual({
      layersToTransform: [0, 2, 5],
      modulesToSave: ["embed_tokens", "lm_head"],
    });
    expect(parse("--trainable-token-indices", "7,9")).toEqual({ trainableTokenIndices: [7, 9] });
    expect(parse("--trainable-token-indices", '{"lm_head":[3]}')).toEqual({ trainableTokenIndices: { lm_head: [3] } });
    expect(parse("--rank-pattern", "q_proj=4,up_proj=2", "--alpha-pattern", '{"layers.[0-9]=?": 3}')).toEqual({
      rankPattern: { q_proj: 4, up_proj: 2 },
      alphaPattern: { "layers.[0-9]=?": 3 },
    });
    expect(parse("--optim-args", "momentum=0.9,nesterov=true")).toEqual({ optimArgs: "momentum=0.9,nesterov=true" });
    const stages = [{ maxLength: 256, steps: 10 }, {}];
    expect(parse("--stages", JSON.stringify(stages))).toEqual({ stages });
    expect(parse("--stages", '[{"max_length": 256, "steps": 10}, {}]')).toEqual({ stages });
    expect(parse("--stages", "none")).toEqual({ stages: null });
    expect(() => parse("--stages", "[{")).toThrow(/\[--stages\] expected JSON/u);
    expect(() => parse("--stages", '[{"maxLenght": 256}]')).toThrow(/\[--stages\] expected a list .* with maxLength/u);
    expect(parse("--optim-args", '{"momentum": 0.9}')).toEqual({ optimArgs: { momentum: 0.9 } });
    expect(parse("--init-lora-weights", "gaussian", "--modules-to-save", "none")).toEqual({
      initLoraWeights: "gaussian",
      modulesToSave: null,
    });
    expect(parse("--columns", "prompt=question,completion=a=b")).toEqual({
      columns: { prompt: "question", completion: "a=b" },
    });
    expect(parse("--columns", '{"prompt": "the question, as asked"}')).toEqual({
      columns: { prompt: "the question, as asked" },
    });
    for (const wrong of [
      ["--columns", "prompt"],
      ["--columns", '{"prompt": 1}'],
      ["--layers-to-transform", "first"],
      ["--rank-pattern", "q_proj"],
      ["--rank-pattern", "q_proj=two"],
      ["--alpha-pattern", "{q_proj: 4"],
    ]) {
      expect(() => parse(...wrong)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    }
  });

  test("takes snake_case and TRL's other names", () => {
    expect(parse("--learning_rate=2e-5", "--warmup_ratio", "0.1", "--max-seq-length", "64")).toEqual({
      learningRate: 2e-5,
      warmupSteps: 0.1,
      maxLength: 64,
    });
  });

  test("refuses a flag in two spellings", () => {
    expect(() => parse("--learning-rate", "1", "--learning_rate=2")).toThrow(
      '[command line] expected "--learning-rate" once, got it twice; remove "--learning_rate"',
    );
    expect(parse("--learning_rate", "1", "--learning_rate", "2")).toEqual({ learningRate: 2 });
  });

  test("writes digits inside a name as the words they are", () => {
    expect(kebabCase("loadIn4bit")).toBe("load-in-4bit");
    expect(kebabCase("adamBeta1")).toBe("adam-beta1");
    const wanted = { loadIn4bit: true, bnb4bitQuantType: "nf4", bnb4bitUseDoubleQuant: false };
    expect(parse("--load-in-4bit", "--bnb-4bit-quant-type", "nf4", "--bnb-4bit-use-double-quant", "false")).toEqual(
      wanted,
    );
    expect(parse("--load_in_4bit", "--bnb_4bit_quant_type=nf4", "--bnb_4bit_use_double_quant=false")).toEqual(wanted);
  });

  test("refuses values of another type and names the nearest flag of an unknown one", () => {
    expect(() => parse("--learning-rate", "fast")).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
    expect(() => parse("--gradient-checkpointing", "maybe")).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID" }),
    );
    expect(parse("--gradient-checkpointing", "auto")).toEqual({ gradientCheckpointing: "auto" });
    expect(() => parse("--max-steps", "-2")).toThrow(
      "[--max-steps] expected a whole number of at least -1, got -2; correct it, or leave it out for the default",
    );
    expect(() => parse("--bias", "some")).toThrow(
      /^\[--bias\] expected one of "none", "all", "lora_only", got "some"/u,
    );
    expect(() => parse("--lerning-rate", "1")).toThrow(/Did you mean --learning-rate/u);
  });
});

test("leaves texts after -- and unknown flags as they were written", () => {
  const known = [{ long: "--max-steps", isSwitch: false }];
  expect(normaliseFlags(["--no_such", "--", "--max_steps"], known)).toEqual(["--no_such", "--", "--max_steps"]);
});

test("only what is on or off is turned off with --no_NAME: a text would become the text false", () => {
  expect(parse("--no_packing")).toEqual({ packing: false });
  for (const flag of ["--no_output_dir", "--no_data", "--no_target_modules", "--no_learning_rate"])
    expect(() => parse(flag), flag).toThrow(/unknown option/u);
});

test("a flag of another library is refused with what stands in its place", () => {
  expect(() => parse("--load-in-8bit")).toThrow(
    /^\[--load-in-8bit\] expected false or null, got true; not yet: eight bits are not implemented/u,
  );
  expect(() => parse("--device-map", "auto")).toThrow(/got "--device-map"; a model is on one device/u);
  expect(() => parse("--prompt=1")).toThrow(/unknown option/u);
});

test("a name that is given two values in one flag is refused", () => {
  expect(() => parse("--rank-pattern", "q_proj=4,q_proj=8")).toThrow(
    /^\[--rank-pattern\] expected "q_proj" once, got it twice; remove "q_proj=8"$/u,
  );
  for (const flag of ["--rank-pattern", "--eval-data"])
    expect(() => parse(flag, '{"a": 1, "b": {"a": 2}, "\\u0061": 3}'), flag).toThrow(
      new RegExp(`^\\[${flag}\\] expected "a" once, got it twice in .*; remove one$`, "u"),
    );
  expect(() => parse("--eval-data", '{"a": 1')).toThrow(/^\[--eval-data\] expected JSON, got .*; correct it$/u);
});

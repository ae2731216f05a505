import { expect, test } from "vitest";
import { optimizerNote, optimizerOptions } from "./optimizer.ts";
import { optimizerNameList, optimizerNames } from "./optimizer-names.ts";
import { parseOptions } from "./parse.ts";
import { sftConfigSchema } from "./sft.ts";

const optimizer = (args: object) => optimizerOptions(parseOptions(sftConfigSchema, args));

test("AdamW has its constants from the run's own options", () => {
  expect(optimizer({})).toEqual({ type: "adamw", beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  expect(optimizer({ adamBeta1: 0.8, optim: "adamw_torch" })).toMatchObject({ beta1: 0.8 });
  expect(() => optimizer({ optimArgs: "momentum=0.9" })).toThrow(
    /^\[optimArgs\] expected nothing for adamw_torch, got "momentum"/u,
  );
});

test("sgd has torch's defaults, and constants as a text or by name", () => {
  expect(optimizer({ optim: "sgd" })).toEqual({ type: "sgd", momentum: 0, dampening: 0, nesterov: false });
  const nesterov = { type: "sgd", momentum: 0.9, dampening: 0, nesterov: true };
  for (const optimArgs of [
    "momentum=0.9, nesterov=True",
    "momentum=0.9,nesterov=true",
    { momentum: 0.9, nesterov: true },
  ])
    expect(optimizer({ optim: "sgd", optimArgs })).toEqual(nesterov);
});

test("constants that an optimizer does not have, or not like this, are refused", () => {
  const refused = (optimArgs: unknown) => () => optimizer({ optim: "sgd", optimArgs });
  expect(refused("momentun=0.9")).toThrow(/^\[optimArgs\] .*got "momentun"; did you mean "momentum"\?$/u);
  expect(refused("momentum")).toThrow(/^\[optimArgs\] expected NAME=VALUE, got "momentum"/u);
  expect(refused("momentum=much")).toThrow(/^\[optimArgs\.momentum\] expected a number of at least 0, got "much"/u);
  expect(refused({ momentum: -1 })).toThrow(/^\[optimArgs\.momentum\] expected a number of at least 0, got -1/u);
  expect(refused({ nesterov: true })).toThrow(/^\[optimArgs\.nesterov\] expected a momentum above 0/u);
  expect(refused({ nesterov: true, momentum: 0.9, dampening: 0.1 })).toThrow(/dampening 0\.1/u);
  expect(() => optimizer({ optim: "adamw_8bt" })).toThrow(/got "adamw_8bt"; did you mean "adamw_8bit"\?$/u);
});

test("every name of transformers is here, stands for one that is, or says that it is not yet", () => {
  // OptimizerNames of transformers 5.24.0, and muon.
  expect(optimizerNameList).toHaveLength(42);
  for (const optim of optimizerNameList) {
    const meaning = optimizerNames[optim];
    if ("notYet" in meaning) {
      expect(() => optimizer({ optim })).toThrow(
        `[optim] expected an optimizer that is here, got "${optim}", which is not yet: `,
      );
    } else {
      expect(optimizer({ optim }).type, optim).toBe(meaning.type);
      expect(optimizerNote(optim) !== null, optim).toBe(/^paged_|_fused$|_xla$/u.test(optim));
    }
  }
});

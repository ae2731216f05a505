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
  expect(() => optimizer({ optim: "lion_8bit", optimArgs: "beta1=0.9" })).toThrow(
    /^\[optimArgs\] expected nothing for lion_8bit, got "beta1"; adamBeta1 and adamBeta2 are its options$/u,
  );
});

test("a name asks for what it says", () => {
  const types: Record<string, string> = {
    ...{
      sgd: "sgd",
      adagrad: "adagrad",
      adafactor: "adafactor",
      muon: "muon",
      lorafa: "lorafa",
      ademamix: "ademamix",
      paged_ademamix_32bit: "ademamix",
    },
    ...{ rmsprop: "rmsprop", rmsprop_bnb: "rmsprop", rmsprop_bnb_32bit: "rmsprop" },
    ...{ lion_32bit: "lion", paged_lion_32bit: "lion", lion_8bit: "lion8bit", paged_lion_8bit: "lion8bit" },
    ...{ adamw_8bit: "adamw8bit", adamw_bnb_8bit: "adamw8bit", paged_adamw_8bit: "adamw8bit" },
    ...{ adamw_torch: "adamw", adamw_torch_fused: "adamw", adamw_torch_xla: "adamw", adamw_torch_npu_fused: "adamw" },
    ...{ paged_adamw_32bit: "adamw", schedule_free_adamw: "schedulefree" },
  };
  const here = optimizerNameList.filter((optim) => !("notYet" in optimizerNames[optim]));
  expect(Object.fromEntries(here.map((optim) => [optim, optimizer({ optim }).type]))).toEqual(types);
  // The one that stands for a paged one has its name without the prefix, and AdamW's in 32 bits is adamw_torch.
  for (const optim of here.filter((name) => name.startsWith("paged_"))) {
    const other =
      optim === "paged_adamw_32bit"
        ? "adamw_torch"
        : optim.slice("paged_".length).replace(/^ademamix_32bit$/u, "ademamix");
    expect(optimizerNote(optim)).toContain(`optim ${optim} is ${other} here`);
    expect(types[other]).toBe(types[optim]);
  }
});

test("every name of transformers is here, stands for one that is, or says that it is not yet", () => {
  // OptimizerNames of transformers 5.24.0, muon and lorafa.
  expect(optimizerNameList).toHaveLength(43);
  for (const optim of optimizerNameList) {
    const meaning = optimizerNames[optim];
    if ("notYet" in meaning) {
      expect(() => optimizer({ optim })).toThrow(
        `[optim] expected an optimizer that is here, got "${optim}", which is not yet: `,
      );
    } else {
      const stands = /^paged_|_fused$|_xla$/u.test(optim);
      expect(optimizerNote(optim) !== null, optim).toBe(stands);
    }
  }
});

test("constants are transformers', under torch's names where they come through optimArgs", () => {
  const moments = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  expect(optimizer({ optim: "paged_adamw_8bit" })).toEqual({ type: "adamw8bit", ...moments });
  expect(optimizer({ optim: "lion_32bit", adamBeta2: 0.99 })).toEqual({ type: "lion", beta1: 0.9, beta2: 0.99 });
  expect(optimizer({ optim: "schedule_free_adamw", optimArgs: "r=0.5, weight_lr_power=1" })).toEqual({
    ...moments,
    ...{ type: "schedulefree", r: 0.5, weightLrPower: 1 },
  });
  const rmsprop = { type: "rmsprop", alpha: 0.9, epsilon: 1e-6, momentum: 0, centered: true };
  expect(optimizer({ optim: "rmsprop", optimArgs: "alpha=0.9,eps=1e-6,centered=true" })).toEqual(rmsprop);
  expect(optimizer({ optim: "adagrad", optimArgs: { lr_decay: 0.1 } })).toEqual({
    ...{ type: "adagrad", epsilon: 1e-10, lrDecay: 0.1 },
  });
  expect(optimizer({ optim: "ademamix", adamBeta2: 0.99, optimArgs: "t_alpha=8,beta1=0.8,eps=1e-6" })).toEqual({
    ...{ type: "ademamix", beta1: 0.8, beta2: 0.99, beta3: 0.9999, alpha: 5, epsilon: 1e-6, tAlpha: 8, tBeta3: null },
  });
  const adafactor = { type: "adafactor", decayRate: -0.8, clipThreshold: 1, beta1: null, scaleParameter: false };
  expect(optimizer({ optim: "adafactor" })).toEqual({ ...adafactor, epsilon: [1e-30, 1e-3] });
  expect(optimizer({ optim: "adafactor", optimArgs: '{"eps": [1e-20, 0.01], "beta1": 0.9}' })).toEqual({
    ...adafactor,
    ...{ epsilon: [1e-20, 0.01], beta1: 0.9 },
  });
  expect(() => optimizer({ optim: "adafactor", optimArgs: "relative_step=true" })).toThrow(
    /^\[optimArgs\] .*got "relative_step"/u,
  );
  expect(() => optimizer({ optim: "adafactor", optimArgs: "clip_threshold=0" })).toThrow(
    /^\[optimArgs\.clipThreshold\] expected a number above 0, got 0/u,
  );
  const muon = { type: "muon", momentum: 0.95, nesterov: true, nsSteps: 5, nsEpsilon: 1e-7, adjustLrFn: "original" };
  const whole = { ...muon, ...moments, nsCoefficients: [3.4445, -4.775, 2.0315] };
  expect(optimizer({ optim: "muon" })).toEqual(whole);
  expect(optimizer({ optim: "muon", optimArgs: { nsCoefficients: [2, -1.5, 0.5] } })).toEqual({
    ...whole,
    nsCoefficients: [2, -1.5, 0.5],
  });
  expect(optimizer({ optim: "muon", adamBeta2: 0.95, optimArgs: "adjust_lr_fn=match_rms_adamw,eps=1e-6" })).toEqual({
    ...whole,
    ...{ adjustLrFn: "match_rms_adamw", nsEpsilon: 1e-6, beta2: 0.95 },
  });
  const lorafa = { type: "lorafa", beta1: 0.9, beta2: 0.999, epsilon: 1e-6 };
  expect(optimizer({ optim: "lorafa", adamEpsilon: 0.5 })).toEqual(lorafa);
  expect(optimizer({ optim: "lorafa", optimArgs: "eps=1e-8" })).toEqual({ ...lorafa, epsilon: 1e-8 });
  const ofMuon = (optimArgs: object) => () => optimizer({ optim: "muon", optimArgs });
  expect(ofMuon({ ns_steps: 100 })).toThrow(/^\[optimArgs\.nsSteps\] expected .*, got 100/u);
  expect(ofMuon({ ns_coefficients: [1, 2] })).toThrow(/^\[optimArgs\.nsCoefficients\] expected /u);
  expect(ofMuon({ adjust_lr_fn: "none" })).toThrow(/^\[optimArgs\.adjustLrFn\] expected .*match_rms_adamw/u);
  const ademamix = { optim: "ademamix", adamBeta1: 0.7, adamEpsilon: 1e-5 };
  expect(optimizer(ademamix)).toMatchObject({ beta1: 0.7, beta2: 0.999, epsilon: 1e-5 });
});

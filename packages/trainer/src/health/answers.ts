// Answers to watched prompts that no one could want: repeating themselves, cut, empty, all the same.
import { percent, significant } from "@tunesmith/core";
import { type HealthAnswer, type HealthRule, type HealthSamples, type HealthView, mean } from "./rule.ts";

/** Tokens of an n-gram, n-grams below which an answer is too short to tell, and the share of repeats from which on it repeats itself. */
const [n, least, repeats] = [4, 12, 0.5];

/**
 * Share of an answer's 4-grams that stood in it before (seq-rep-4 of arXiv:1908.04319); 0 of a short one. They are of tokens, which is what
 * a model repeats, and need no words: those of texts are in `crates/similarity`.
 */
export function repeatedShare(ids: ArrayLike<number>): number {
  const total = ids.length - n + 1;
  if (total < least) return 0;
  const found = new Set(
    Array.from({ length: total }, (_, at) => Array.from({ length: n }, (_, k) => ids[at + k]).join(" ")),
  );
  return 1 - found.size / total;
}

/**
 * The newest answers where something can be asked of them: a base model rambles before it is trained, so in the first half of a run only what
 * was not so before the first step is told.
 */
function judged({ event, run, samples, firstSamples }: HealthView, isBad: (answer: HealthAnswer) => boolean) {
  if (event !== "sample" || samples === null || samples.step === 0) return null;
  const bad = samples.answers.filter(isBad);
  const before = firstSamples?.answers.filter(isBad).length ?? 0;
  const isEarly = samples.step * 2 < run.totalSteps;
  // A majority of the answers, and at least two where there are as many.
  if (bad.length * 2 < samples.answers.length || bad.length < Math.min(2, samples.answers.length)) return null;
  if (bad.length === 0 || (isEarly && (firstSamples === null || before >= bad.length))) return null;
  return { bad, before, of: samples.answers.length, step: samples.step };
}

/** At least half of the answers repeat runs of four tokens. */
export const repeatedNgrams: HealthRule = {
  name: "repeated-ngrams",
  check(view) {
    const found = judged(view, ({ repeated }) => repeated >= repeats);
    if (found === null) return null;
    const { bad, before, of, step } = found;
    const share = mean(bad.map(({ repeated }) => repeated));
    return {
      value: share,
      message: `${bad.length} of ${of} answers repeat themselves at step ${step} (${before} before the first step): ${percent(share)} of their ${n}-grams stood there before`,
      remedy: "look for repeats in the data with tunesmith doctor data, lower learningRate, or train for fewer epochs",
    };
  },
};

/** At least half of the answers do not end by themselves. */
export const cutAnswers: HealthRule = {
  name: "cut-answers",
  check(view) {
    const found = judged(view, ({ isCut }) => isCut);
    if (found === null) return null;
    const { bad, before, of, step } = found;
    const { sampleMaxNewTokens: limit } = view.run;
    return {
      value: bad.length / of,
      message: `${bad.length} of ${of} answers are cut at the limit of ${limit} tokens at step ${step} (${before} before the first step)`,
      remedy: `raise sampleMaxNewTokens where answers are that long; else look with tunesmith inspect data whether the token that ends an answer is trained`,
    };
  },
};

/** At least half of the answers say nothing. */
export const emptyAnswers: HealthRule = {
  name: "empty-answers",
  check(view) {
    const found = judged(view, ({ completion }) => completion.trim() === "");
    if (found === null) return null;
    const { bad, before, of, step } = found;
    return {
      value: bad.length / of,
      message: `${bad.length} of ${of} answers are empty at step ${step} (${before} before the first step)`,
      remedy:
        "look for rows with empty answers with tunesmith doctor data, and at what is trained with tunesmith inspect data",
    };
  },
};

/** Answers that short may well be the same: labels, yes and no. */
const labels = { prompts: 4, tokens: 8 };

const areEqual = ({ answers }: HealthSamples) => new Set(answers.map(({ completion }) => completion)).size === 1;

/** Different prompts get one answer. */
export const equalAnswers: HealthRule = {
  name: "equal-answers",
  check({ event, run, samples, firstSamples }) {
    if (event !== "sample" || samples === null || samples.step === 0) return null;
    const { answers, step } = samples;
    const [first] = answers;
    const prompts = new Set(answers.map(({ prompt }) => prompt)).size;
    if (first === undefined || prompts < 2 || first.completion.trim() === "" || !areEqual(samples)) return null;
    if (step * 2 < run.totalSteps && (firstSamples === null || areEqual(firstSamples))) return null;
    const references = answers.map(({ reference }) => reference);
    const areKnown = references.every((reference) => reference !== null);
    if (areKnown ? new Set(references).size < 2 : prompts < labels.prompts && first.tokens < labels.tokens) return null;
    return {
      value: answers.length,
      message: `all ${answers.length} answers are the same at step ${step}, to ${significant(prompts)} different prompts: ${JSON.stringify(first.completion.slice(0, 80))}`,
      remedy:
        "lower learningRate or train for fewer epochs, and look with tunesmith doctor data whether most answers are the same",
    };
  },
};

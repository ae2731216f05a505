// All checks of an audit, in the order of their findings.
import type { Check } from "../finding.ts";
import { cutAnswer, emptyAnswer } from "./answers.ts";
import { conflictingAnswers } from "./conflicts.ts";
import { controlToken } from "./control-tokens.ts";
import { evalNotCovered, lowDiversity, onePattern } from "./diversity.ts";
import { exactDuplicate, largeCluster, leakage, nearDuplicate } from "./duplicates.ts";
import { mixedLanguages, mixedScripts } from "./languages.ts";
import { answerWithoutEos, fewTrainedTokens, overMaxLength } from "./lengths.ts";
import { mixedFormats, mixedTemplates } from "./mixed.ts";
import { repeatedNgrams } from "./repetition.ts";
import { shortAnswer } from "./short-answers.ts";
import { brokenTurns, roleOrder } from "./turns.ts";
import { unusableRow } from "./unusable-row.ts";

/** All checks but the judge's. */
export const checks: readonly Check[] = [
  unusableRow,
  brokenTurns,
  roleOrder,
  emptyAnswer,
  cutAnswer,
  exactDuplicate,
  nearDuplicate,
  leakage,
  mixedFormats,
  mixedTemplates,
  overMaxLength,
  fewTrainedTokens,
  answerWithoutEos,
  repeatedNgrams,
  shortAnswer,
  conflictingAnswers,
  controlToken,
  mixedLanguages,
  mixedScripts,
  onePattern,
  largeCluster,
  lowDiversity,
  evalNotCovered,
];

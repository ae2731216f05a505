// Opens a model, with one line of progress where it has to be downloaded.
import { terminalText } from "@tunesmith/core";
import type { DownloadProgress, FastLanguageModel, PretrainedOptions } from "@tunesmith/sdk";
import pc from "picocolors";
import { bytes, percent } from "../view/format.ts";
import { type Output, Screen } from "../view/screen.ts";

/** A revision as an option of opening a model, where there is one. */
export function revisionOf(revision: string | null): Pick<PretrainedOptions, "revision"> {
  return revision === null ? {} : { revision };
}

/** Opens a model by path or name, with one line of progress where it has to be downloaded. */
export async function openModel(name: string, err: Output, options: PretrainedOptions): Promise<FastLanguageModel> {
  const { FastLanguageModel } = await import("@tunesmith/sdk");
  return told(name, err, (shown) => FastLanguageModel.fromPretrained(name, { ...shown, ...options }));
}

/** Opens a model for questions that need no weights, likewise. */
export async function describeModel<T>(
  name: string,
  err: Output,
  options: PretrainedOptions,
  use: (model: FastLanguageModel) => Promise<T>,
): Promise<T> {
  const { FastLanguageModel } = await import("@tunesmith/sdk");
  return told(name, err, (shown) => FastLanguageModel.describe(name, { ...shown, ...options }, use));
}

/** Shows on the screen what opening a model or data set tells. */
export async function told<T>(
  name: string,
  err: Output,
  open: (shown: Pick<PretrainedOptions, "onProgress" | "onWarning" | "onWait">) => Promise<T>,
): Promise<T> {
  const screen = new Screen(err);
  let shown = false;
  const onProgress = ({ loadedBytes, totalBytes }: DownloadProgress): void => {
    // What is cached as a whole is not worth a line.
    shown ||= loadedBytes < totalBytes;
    if (!shown) return;
    const share = percent(loadedBytes / Math.max(1, totalBytes));
    screen.status(`download ${terminalText(name)}: ${bytes(loadedBytes)} of ${bytes(totalBytes)} (${share})`);
  };
  const onWarning = (message: string) => screen.print(`${pc.yellow("warning:")} ${message}`);
  try {
    return await open({ onProgress, onWarning, onWait: (message) => screen.print(message) });
  } finally {
    screen.settle();
  }
}

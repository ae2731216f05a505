// Runs Self-Instruct to its end for a test.
import type { SelfInstructEvent, SelfInstructReport } from "../report.ts";
import type { SeedTask } from "../seeds.ts";
import { type SelfInstructOptions, selfInstruct } from "../self-instruct.ts";
import { recordedGenerator } from "./recorded.ts";
import { wordOverlap } from "./word-overlap.ts";

const task = (instruction: string, output: string, input = "", isClassification = false): SeedTask => ({
  instruction,
  instances: [{ input, output }],
  isClassification,
});

/** Eight seeds of our own. */
export const ownSeeds: readonly SeedTask[] = [
  task("Say how you would cheer up a friend who has lost a game.", "I would listen first, and then ask for a rematch."),
  task("Which animal of the two is faster?", "hare", "Animals: hare, snail", true),
  task("Multiply the two numbers.", "42", "Numbers: 6, 7"),
  task("Find a rhyme for the word.", "moon", "Word: June"),
  task("Write the opening line of a ghost story.", "The clock in the hall had been wrong for years, until tonight."),
  task("Tell whether the text is formal.", "no", "Text: hey, what's up?", true),
  task("What do you need to fix a flat bicycle tyre?", "Tyre levers, a patch, glue, sandpaper and a pump."),
  task("Shorten the sentence.", "It rained all day.", "Sentence: From morning to night there was nothing but rain."),
];

/** All events of a run with the recording, on our seeds unless told otherwise. */
export async function eventsOf(options: Partial<SelfInstructOptions> = {}): Promise<SelfInstructEvent[]> {
  const events: SelfInstructEvent[] = [];
  const usual = { seeds: ownSeeds, generate: recordedGenerator, numInstructions: 40, maxIdleRequests: 60 };
  for await (const event of selfInstruct({ ...usual, ...options }, wordOverlap)) events.push(event);
  return events;
}

/** The report of a run. */
export function reportOf(events: readonly SelfInstructEvent[]): SelfInstructReport {
  const last = events.at(-1);
  if (last?.type !== "done") throw new Error(`expected a run that ended, got ${JSON.stringify(last)}`);
  return last.report;
}

// Step 3: instances of the generated tasks, labels first where the answers are labels.
import { firstStop } from "@tunesmith/core";
import { permutation, purpose } from "@tunesmith/curriculum";
import type { Reply } from "../generate/generate.ts";
import { instancePrompt, instanceStop } from "../prompts/instances.ts";
import type { SelfInstructEvent } from "../report.ts";
import type { SynthTask } from "../seeds.ts";
import { filteredInstances, inputFirst, outputFirst } from "./instance-filters.ts";
import { type Asking, batches, beginStep, type Pool } from "./pool.ts";

/** Tokens of a reply where nothing else is given. */
const usualTokens = { labels: 300, others: 350 };

/** Gives every task its instances. */
export async function* generateInstances(pool: Pool): AsyncGenerator<SelfInstructEvent> {
  const { tasks, config, filters } = pool;
  const report = beginStep(pool, "instances");
  const numbered = tasks.map((task, place) => ({ task, place }));
  // Each kind has a length of its own, and the prompts of a batch share one.
  for (const hasLabels of [true, false]) {
    const those = numbered.filter(({ task }) => task.isClassification === hasLabels);
    for (const [, batch] of batches(those, config.requestsPerBatch)) {
      const prompts = batch.map(({ task }) => instancePrompt(task.instruction, hasLabels));
      const how = asking(pool, hasLabels);
      const { replies, resumed } = await pool.ask("instances", report.requests, prompts, how);
      for (const [n, { task, place }] of batch.entries()) {
        const reply = untilStop(replies[n] as Reply, how.stop);
        const found = hasLabels ? outputFirst(reply) : inputFirst(reply);
        report.candidates += found.length;
        const choose = (count: number) =>
          Array.from(permutation(count, config.seed, place, purpose.instances).subarray(0, config.maxInstancesPerTask));
        const { kept, dropped } = filteredInstances(found, {
          isCut: reply.isCut,
          limit: config.maxInstancesPerTask,
          filters,
          choose,
        });
        yield* taken(task, kept, dropped);
        report.kept += kept.length;
      }
      report.requests += batch.length;
      const { requests, kept } = report;
      yield { type: "request", step: "instances", requests, total: tasks.length, kept, resumed };
    }
  }
  report.filters = filters.report("instances");
}

function* taken(
  task: SynthTask,
  kept: SynthTask["instances"],
  dropped: ReturnType<typeof filteredInstances>["dropped"],
): Generator<SelfInstructEvent> {
  task.instances = kept;
  for (const { filter, instance } of dropped)
    yield {
      type: "dropped",
      step: "instances",
      filter,
      text: `${task.instruction}\n${instance.input}\n${instance.output}`,
    };
  for (const instance of kept) yield { type: "instance", task: task.id, ...instance };
}

/** A generator that does not heed a stop goes on with another task, whose examples are not of this one. */
function untilStop({ text, isCut }: Reply, stop: readonly string[]): Reply {
  const end = firstStop(text, stop);
  return end === null ? { text, isCut } : { text: text.slice(0, end), isCut: false };
}

function asking(pool: Pool, hasLabels: boolean): Asking {
  const { maxInstanceTokens, maxInstancesPerTask } = pool.config;
  return {
    temperature: 0,
    topP: 1,
    presencePenalty: pool.config.presencePenalty ?? 1.5,
    maxTokens: maxInstanceTokens ?? (hasLabels ? usualTokens.labels : usualTokens.others),
    stop: instanceStop(maxInstancesPerTask),
  };
}

// Step 4: rows of all instances, each once, in a drawn order.
import { permutation, purpose } from "@tunesmith/curriculum";
import { encode, type PromptCompletion } from "../encode.ts";
import type { SelfInstructEvent } from "../report.ts";
import { beginStep, type Pool } from "./pool.ts";

/** A row and where it comes from. */
export interface MadeRow extends PromptCompletion {
  /** Id of its task. */
  task: string;
  source: "generated" | "seed";
}

/** The rows of the generated tasks and, where asked for, of the seeds. */
export function makeRows(pool: Pool): { rows: MadeRow[]; dropped: SelfInstructEvent[] } {
  const { config, filters, tasks, seeds } = pool;
  const report = beginStep(pool, "rows");
  const sources = [
    ...tasks.map((task) => ({ task, source: "generated" as const })),
    ...(config.includeSeeds ? seeds.map((task) => ({ task, source: "seed" as const })) : []),
  ];
  const instances = sources.flatMap(({ task, source }) =>
    task.instances.map((instance) => ({ task, source, instance })),
  );
  const seen = new Set<string>();
  const dropped: SelfInstructEvent[] = [];
  const rows = instances.flatMap(({ task, source, instance }, place): MadeRow[] => {
    const row = encode(task.instruction, instance, config.seed, place);
    const whole = JSON.stringify([row.prompt, row.completion]);
    const isRepeat = seen.has(whole);
    seen.add(whole);
    if (filters.drops("duplicate-row", isRepeat)) {
      dropped.push({
        type: "dropped",
        step: "rows",
        filter: "duplicate-row",
        text: `${row.prompt}\n${row.completion}`,
      });
      return [];
    }
    return [{ ...row, task: task.id, source }];
  });
  report.candidates = instances.length;
  report.kept = rows.length;
  report.filters = filters.report("rows");
  const order = permutation(rows.length, config.seed, 0, purpose.rows);
  return { rows: Array.from(order, (at) => rows[at] as MadeRow), dropped };
}

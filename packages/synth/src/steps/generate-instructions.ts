// Step 1: new instructions from prompts that show some of the pool, as long as they are unlike all of it.
import { NoveltyFilter, permutation, purpose } from "@tunesmith/curriculum";
import type { Reply } from "../generate/generate.ts";
import { instructionPrompt, instructionStop } from "../prompts/instructions.ts";
import type { SelfInstructEvent, SelfInstructReport, StepReport } from "../report.ts";
import type { SimilarInstruction } from "../seeds.ts";
import { blockedWords, candidatesOf, droppedAlone } from "./instruction-filters.ts";
import { type Asking, beginStep, type Pool } from "./pool.ts";

/** Adds tasks to the pool, without instances, until there are as many as asked for. */
export async function* generateInstructions(
  pool: Pool,
): AsyncGenerator<SelfInstructEvent, SelfInstructReport["stopped"]> {
  const { config, tasks, filters } = pool;
  const { numInstructions, requestsPerBatch, maxRequests, maxIdleRequests } = config;
  const report = beginStep(pool, "instructions");
  const novelty = new NoveltyFilter(pool.similarity, { threshold: config.maxSimilarity });
  await novelty.keep(pool.seeds.map(({ instruction }) => instruction));
  const blocked = blockedWords(config.blocklist);
  let stopped: SelfInstructReport["stopped"] = "complete";
  for (let idle = 0; tasks.length < numInstructions; ) {
    if (report.requests >= (maxRequests ?? Number.POSITIVE_INFINITY)) stopped = "maxRequests";
    else if (idle >= maxIdleRequests) stopped = "maxIdleRequests";
    if (stopped !== "complete") break;
    const count = Math.min(requestsPerBatch, (maxRequests ?? Number.POSITIVE_INFINITY) - report.requests);
    const shown = Array.from({ length: count }, (_, n) => examplesFor(pool, report.requests + n));
    const prompts = shown.map(instructionPrompt);
    const { replies, resumed } = await pool.ask(
      "instructions",
      report.requests,
      prompts,
      asking(pool, shown[0]?.length ?? 0),
    );
    report.requests += count;
    const before = tasks.length;
    for (const reply of replies) {
      const { left, events } = leftOf(reply, pool, report, blocked);
      yield* events;
      yield* await judged(left, pool, report, novelty);
    }
    idle = tasks.length > before ? 0 : idle + count;
    yield {
      type: "request",
      step: "instructions",
      requests: report.requests,
      total: null,
      kept: tasks.length,
      resumed,
    };
  }
  report.kept = tasks.length;
  report.filters = filters.report("instructions");
  return stopped;
}

/** Examples of a prompt: some that were generated, some of the seeds, in any order. */
function examplesFor({ config, seeds, tasks }: Pool, request: number): string[] {
  const { seed, numSeedExamples, numGeneratedExamples } = config;
  const drawn = (from: readonly { instruction: string }[], count: number, end: number) =>
    Array.from(
      permutation(from.length, seed, request, end).subarray(0, count),
      (at) => from[at]?.instruction as string,
    );
  const generated = drawn(tasks, numGeneratedExamples, purpose.generatedExamples);
  const wanted = numSeedExamples + numGeneratedExamples - generated.length;
  const examples = [...generated, ...drawn(seeds, wanted, purpose.seedExamples)];
  return Array.from(permutation(examples.length, seed, request, purpose.exampleOrder), (at) => examples[at] as string);
}

function asking(pool: Pool, examples: number): Asking {
  const { temperature, topP, maxInstructionTokens: maxTokens } = pool.config;
  return {
    temperature,
    topP,
    maxTokens,
    presencePenalty: pool.config.presencePenalty ?? 2,
    stop: instructionStop(examples),
  };
}

/** The candidates of a reply that are left by the filters that look at one alone. */
function leftOf(
  reply: Reply,
  { filters }: Pool,
  report: StepReport,
  blocked: RegExp | null,
): { left: string[]; events: SelfInstructEvent[] } {
  const candidates = candidatesOf(reply);
  report.candidates += candidates.length;
  const dropped = (filter: ReturnType<typeof droppedAlone> & string, text: string): SelfInstructEvent => ({
    type: "dropped",
    step: "instructions",
    filter,
    text,
  });
  if (filters.drops("cut-reply", reply.isCut, candidates.length))
    return { left: [], events: candidates.map((text) => dropped("cut-reply", text)) };
  const events: SelfInstructEvent[] = [];
  const left = candidates.filter((text) => {
    const filter = droppedAlone(text, filters, blocked);
    if (filter !== null) events.push(dropped(filter, text));
    return filter === null;
  });
  return { left, events };
}

/** Keeps candidates that are unlike the pool, as far as there is need of them. */
async function judged(
  candidates: readonly string[],
  { config, filters, seeds, tasks }: Pool,
  report: StepReport,
  novelty: NoveltyFilter,
): Promise<SelfInstructEvent[]> {
  const events: SelfInstructEvent[] = [];
  for (const instruction of candidates) {
    if (tasks.length >= config.numInstructions) {
      report.surplus += 1;
      continue;
    }
    const [{ isNovel, score, index } = { isNovel: true, score: 0, index: null }] = await novelty.judge([instruction]);
    const similar: SimilarInstruction | null =
      index === null ? null : { instruction: instructionAt(index, seeds, tasks), score };
    if (filters.drops("similar", !isNovel)) {
      events.push({
        type: "dropped",
        step: "instructions",
        filter: "similar",
        text: instruction,
        ...(similar !== null && { mostSimilar: similar }),
      });
      continue;
    }
    // With the filter off, what is like the pool is in it all the same.
    if (!isNovel) await novelty.keep([instruction]);
    const task = `generated-${tasks.length + 1}`;
    tasks.push({ id: task, instruction, isClassification: false, instances: [], mostSimilar: similar });
    events.push({ type: "instruction", task, instruction, mostSimilar: similar });
  }
  return events;
}

/** The pool of the novelty filter holds the seeds, then the tasks, in their order. */
function instructionAt(index: number, seeds: Pool["seeds"], tasks: Pool["tasks"]): string {
  return (index < seeds.length ? seeds[index] : tasks[index - seeds.length])?.instruction ?? "";
}

// Step 2: which of the generated tasks have labels as answers.
import { classificationPrompt, classificationStop, isClassification } from "../prompts/classification.ts";
import type { SelfInstructEvent, SelfInstructReport } from "../report.ts";
import { batches, beginStep, type Pool } from "./pool.ts";

const asking = { temperature: 0, topP: 1, presencePenalty: 0, maxTokens: 3, stop: classificationStop };

/** Says of every task whether it is one of classification. */
export async function* classify(pool: Pool): AsyncGenerator<SelfInstructEvent, SelfInstructReport["classification"]> {
  const { tasks, config } = pool;
  const report = beginStep(pool, "classification");
  const found = { yes: 0, no: 0, unclear: 0 };
  for (const [first, batch] of batches(tasks, config.requestsPerBatch)) {
    const prompts = batch.map(({ instruction }) => classificationPrompt(instruction));
    const { replies, resumed } = await pool.ask("classification", first, prompts, asking);
    for (const [n, task] of batch.entries()) {
      const answer = isClassification(replies[n]?.text ?? "");
      task.isClassification = answer ?? false;
      found[answer === null ? "unclear" : answer ? "yes" : "no"] += 1;
      yield { type: "classification", task: task.id, isClassification: answer };
    }
    report.requests = first + batch.length;
    const { requests } = report;
    yield { type: "request", step: "classification", requests, total: tasks.length, kept: requests, resumed };
  }
  report.candidates = tasks.length;
  report.kept = tasks.length;
  return found;
}

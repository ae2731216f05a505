// What the commands that ask a model take and do.
import { addSchemaFlags, chatSchemas, evalSchemas, flagValues, groupTitle } from "../flags.ts";
import { examples } from "../help.ts";
import { type Define, targetHelp } from "./surroundings.ts";

export const chat: Define = (chatting, { argv, streams, input, finish }) => {
  chatting
    .argument("<run-or-model>", targetHelp)
    .optionsGroup(groupTitle("run"))
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option("--prompt <text>", "answer this one prompt and stop")
    .option("--system <text>", "system message to begin with");
  addSchemaFlags(chatting, chatSchemas, argv);
  chatting.addHelpText(
    "after",
    examples("tunesmith chat runs/first", 'tunesmith chat ORG/NAME --prompt "Hello" --temperature 0.7'),
  );
  chatting.action(async (target: string) => {
    const command = await import("../commands/chat.ts");
    finish(await command.chat(target, flagValues(chatting), streams, input));
  });
};

export const evaluate: Define = (evaluating, { argv, streams, finish }) => {
  evaluating
    .argument("<run-or-model>", targetHelp)
    .optionsGroup(groupTitle("run"))
    .option("--data <file>", "held-out rows: a file or folder, or ORG/NAME; required")
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option(
      "--base <model>",
      "what to compare with, or none; default: the model without its adapter, or before its run",
    )
    .option("--metrics <file>", "module of JavaScript: each function that it exports is a metric of an answer")
    .option("--output <file>", "JSON lines of every row with its answers and metrics")
    .option("--json", "the result as one line of JSON on standard output");
  addSchemaFlags(evaluating, evalSchemas, argv);
  evaluating.addHelpText(
    "after",
    examples(
      "tunesmith eval runs/first --data held-out.jsonl --output answers.jsonl",
      "tunesmith eval ORG/NAME --data held-out.jsonl --group-by topic --max-new-tokens 64",
    ),
  );
  evaluating.action(async (target: string) => {
    const command = await import("../commands/evaluate.ts");
    finish(await command.evaluateTarget(target, flagValues(evaluating), streams));
  });
};

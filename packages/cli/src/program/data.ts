// What the commands about rows take and do.
import { addSchemaFlags, flagValues, groupTitle, synthSchemas, trainingSchemas } from "../flags.ts";
import { examples } from "../help.ts";
import { configHelp, type Define, jsonHelp, targetHelp } from "./surroundings.ts";

export const inspectData: Define = (data, { argv, streams, finish }) => {
  data
    .argument("[file]", "file of rows; default: that of the --config file")
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option("--examples <n>", "rows to show (default: 3)")
    .option("--ids", "show the id of every token")
    .option("--loss", "show the loss of every token by the model, in nats; reads its weights")
    .option("--html <file>", "write a page of HTML in place of what is printed");
  addSchemaFlags(data, trainingSchemas, argv);
  data.addHelpText("after", examples("tunesmith inspect data train.jsonl --model ORG/NAME --examples 3"));
  data.action(async (file: string | undefined) => {
    const command = await import("../commands/inspect.ts");
    finish(await command.inspectData(file, flagValues(data), streams));
  });
};

export const doctorData: Define = (data, { argv, streams, finish }) => {
  data
    .argument("[file]", "file of rows; default: that of the --config file")
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option("--json", "the report as one line of JSON")
    .option("--html <file>", "write the report with its rows as a page of HTML as well")
    .option("--fix <file>", "write a copy without the rows that do harm; never over what is read")
    .option("--ignore <codes>", "codes that are not looked for, apart by commas")
    .option("--expected-answer-words <n>", "words that answers should have at least (default: what prompts ask for)")
    .option("--judge <url>", "endpoint in OpenAI's form that scores a sample of answers; its key is in OPENAI_API_KEY")
    .option("--judge-model <name>", "model of that endpoint");
  addSchemaFlags(data, trainingSchemas, argv);
  data.addHelpText(
    "after",
    examples(
      "tunesmith doctor data train.jsonl --eval-data eval.jsonl",
      "tunesmith doctor data train.jsonl --model ORG/NAME --max-length 512 --fix clean.jsonl",
    ),
  );
  data.action(async (file: string | undefined) => {
    const command = await import("../commands/doctor-data.ts");
    finish(await command.doctorData(file, flagValues(data), streams));
  });
};

export const selfInstruct: Define = (making, { argv, streams, finish }) => {
  making
    .optionsGroup(groupTitle("run"))
    .option("--seeds <file>", "seed tasks, JSONL: instruction, instances of input and output, is_classification")
    .option("--output <file>", "rows to write, JSONL of prompt and completion; replies and tasks go beside it")
    .option("--model <run-or-model>", `who writes: ${targetHelp}`)
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option("--endpoint <url>", "who writes: an endpoint in OpenAI's form; its key is in OPENAI_API_KEY")
    .option("--endpoint-model <name>", "model of that endpoint")
    .option("--requests-per-minute <n>", "requests to the endpoint at most (default: no limit)")
    .option("--json", jsonHelp);
  addSchemaFlags(making, synthSchemas, argv);
  making.addHelpText(
    "after",
    examples(
      "tunesmith synth self-instruct --seeds seeds.jsonl --model ORG/NAME --output rows.jsonl --num-instructions 200",
      "tunesmith synth self-instruct --seeds seeds.jsonl --endpoint http://localhost:8000/v1 --endpoint-model NAME --output rows.jsonl",
    ),
  );
  making.action(async () => {
    const command = await import("../commands/self-instruct.ts");
    finish(await command.selfInstructFrom(flagValues(making), streams));
  });
};

// The commands and their flags.
import { createRequire } from "node:module";
import { type Schemas, terminalText } from "@tunesmith/core";
import { exportReaders, ggufQuantizations } from "@tunesmith/sdk";
import { Command } from "commander";
import { chat, type Input } from "./commands/chat.ts";
import { doctor } from "./commands/doctor.ts";
import { doctorData } from "./commands/doctor-data.ts";
import { estimate } from "./commands/estimate.ts";
import { evaluateTarget } from "./commands/evaluate.ts";
import { checkForReader, exportCard, exportToGguf } from "./commands/export.ts";
import { inspectData } from "./commands/inspect.ts";
import { merge } from "./commands/merge.ts";
import { resume } from "./commands/resume.ts";
import { compareRuns, listRuns } from "./commands/runs.ts";
import { selfInstructFrom, synthSchemas } from "./commands/self-instruct.ts";
import { sft } from "./commands/sft.ts";
import { sweep } from "./commands/sweep.ts";
import { type Streams, train } from "./commands/train.ts";
import { trainers } from "./commands/trainers.ts";
import {
  addSchemaFlags,
  chatSchemas,
  dpoSchemas,
  evalSchemas,
  flagsOf,
  flagValues,
  groupTitle,
  type KnownFlag,
  resumeSchemas,
  settingSchemas,
  sftSchemas,
  trainingSchemas,
} from "./flags.ts";
import { examples, helpLayout } from "./help.ts";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

const modelHelp = "model folder, GGUF file, or ORG/NAME of the Hugging Face Hub";
const targetHelp = "run folder, model folder, GGUF file, or ORG/NAME";
const configHelp = "YAML or JSON file with any of these options; a flag beats the file";
const jsonHelp = "one JSON event per line on standard output, everything else on standard error";

/** What the commands share. */
interface Surroundings {
  streams: Streams;
  /** What is typed. */
  input: Input;
  /** Gets the exit code of the command that ran. */
  finish(code: number): void;
}

/** The command line. `finish` gets the exit code of the command that ran. */
export function buildProgram(streams: Streams, input: Input, finish: (code: number) => void): Command {
  const { out, err } = streams;
  const program = new Command("tunesmith")
    .description("Fine-tune language models on your own machine.")
    .version(version)
    .exitOverride()
    .configureHelp(helpLayout)
    .configureOutput({
      getOutHelpWidth: () => out.columns ?? 80,
      getErrHelpWidth: () => err.columns ?? 80,
      writeOut: (text) => out.write(text),
      writeErr: (text) => err.write(terminalText(text)),
    });
  const surroundings = { streams, input, finish };
  const all = [
    addTrain,
    addDpo,
    addSft,
    addSweep,
    addEstimate,
    addInspect,
    addResume,
    addRuns,
    addChat,
    addEval,
    addMerge,
    addExport,
    addDoctor,
    addSynth,
  ];
  for (const add of all) add(program, surroundings);
  return program;
}

/** A command that trains. */
interface Training {
  name: string;
  description: string;
  schemas: Schemas;
  examples: readonly string[];
  /** Gives the exit code. */
  start(flags: Record<string, unknown>, streams: Streams): Promise<number>;
}

function addTraining(program: Command, { streams, finish }: Surroundings, command: Training): void {
  const training = program
    .command(command.name)
    .description(command.description)
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option("--dry-run", "check options, model and data, print them, and stop")
    .option("--json", jsonHelp);
  addSchemaFlags(training, command.schemas);
  training.addHelpText("after", examples(...command.examples));
  training.action(async () => finish(await command.start(flagValues(training), streams)));
}

function addTrain(program: Command, surroundings: Surroundings): void {
  addTraining(program, surroundings, {
    name: "train",
    description: "fine-tune a model on your data",
    schemas: trainingSchemas,
    examples: [
      "tunesmith train --model ORG/NAME --data train.jsonl --output-dir runs/first",
      "tunesmith train --config run.yaml --learning-rate 1e-4",
      "tunesmith train --model ./model --data train.jsonl --load-in-4bit --dry-run",
    ],
    start: (flags, streams) => train(trainers.sft, flags, streams),
  });
}

function addDpo(program: Command, surroundings: Surroundings): void {
  addTraining(program, surroundings, {
    name: "dpo",
    description: "train on pairs of a chosen and a rejected answer (direct preference optimization)",
    schemas: dpoSchemas,
    examples: [
      "tunesmith dpo --model ORG/NAME --data pairs.jsonl --learning-rate 1e-5 --beta 0.1",
      "tunesmith dpo --model ORG/NAME --data pairs.jsonl --loss-type sigmoid bco_pair --loss-weights 1 0.5",
      "tunesmith dpo --model ./model --data pairs.jsonl --adapter-path runs/first/adapter --dry-run",
    ],
    start: (flags, streams) => train(trainers.dpo, flags, streams),
  });
}

function addSft(program: Command, surroundings: Surroundings): void {
  addTraining(program, surroundings, {
    name: "sft",
    description: "fine-tune with the arguments of trl sft, as they stand",
    schemas: sftSchemas,
    examples: [
      "tunesmith sft --model_name_or_path ORG/NAME --dataset_name ORG/ROWS --use_peft --lora_r 32 --output_dir out",
      "tunesmith sft --config sft_config.yaml --learning_rate 1e-5",
    ],
    start: sft,
  });
}

function addSweep(program: Command, { streams, finish }: Surroundings): void {
  const sweeping = program
    .command("sweep")
    .description(
      "train every combination of the values that a file lists; the same command goes on after an interruption",
    )
    .argument("<file>", "YAML or JSON file of options, with lists of values below sweep")
    .optionsGroup(groupTitle("run"))
    .option("--no-stop-bad-arms", "train every arm to its end (default: the median rule stops bad ones)")
    .option("--dry-run", "check the file, list the arms, and stop")
    .option("--json", "the arms as one line of JSON on standard output, everything else on standard error");
  sweeping.addHelpText("after", examples("tunesmith sweep sweep.yaml", "tunesmith sweep sweep.yaml --dry-run"));
  sweeping.action(async (file: string) => finish(await sweep(file, flagValues(sweeping), streams)));
}

function addEstimate(program: Command, { streams, finish }: Surroundings): void {
  const estimating = program
    .command("estimate")
    .description(
      "tell the memory a run would take and where it fits, without reading weights; exit code 1 when it does not fit here",
    )
    .argument("<model>", modelHelp)
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option(
      "--calibrate",
      "also measure how fast it is here: reads the weights, 3 passes to warm up and 5 that are timed",
    )
    .option("--usd-per-hour <price>", "with --calibrate: what the machine costs, to tell what the run does")
    .option("--json", "the estimate as one line of JSON");
  addSchemaFlags(estimating, settingSchemas);
  estimating.addHelpText(
    "after",
    examples(
      "tunesmith estimate ORG/NAME --max-length 512 --load-in-4bit",
      "tunesmith estimate ORG/NAME --max-steps 100 --calibrate --usd-per-hour 2",
    ),
  );
  estimating.action(async (model: string) => finish(await estimate(model, flagValues(estimating), streams)));
}

function addInspect(program: Command, { streams, finish }: Surroundings): void {
  const data = program
    .command("inspect")
    .description("look at what a run would train on")
    .command("data")
    .description("show the first rows token by token: trained, weighted or context only")
    .argument("[file]", "file of rows; default: that of the --config file")
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option("--examples <n>", "rows to show (default: 3)")
    .option("--ids", "show the id of every token")
    .option("--loss", "show the loss of every token by the model, in nats; reads its weights")
    .option("--html <file>", "write a page of HTML in place of what is printed");
  addSchemaFlags(data, trainingSchemas);
  data.addHelpText("after", examples("tunesmith inspect data train.jsonl --model ORG/NAME --examples 3"));
  data.action(async (file: string | undefined) => finish(await inspectData(file, flagValues(data), streams)));
}

function addResume(program: Command, { streams, finish }: Surroundings): void {
  const resuming = program
    .command("resume")
    .description("continue an interrupted run from its newest whole checkpoint, or a finished one with more steps")
    .argument("<run-dir>", "run folder")
    .optionsGroup(groupTitle("run"))
    .option("--json", jsonHelp);
  addSchemaFlags(resuming, resumeSchemas);
  resuming.addHelpText("after", examples("tunesmith resume runs/first", "tunesmith resume runs/first --max-steps 200"));
  resuming.action(async (runDir: string) => finish(await resume(runDir, flagValues(resuming), streams)));
}

function addRuns(program: Command, { streams, finish }: Surroundings): void {
  const runs = program.command("runs").description("look at the folders of runs");
  const listing = runs
    .command("list")
    .description("list the runs in a folder: how far they are, their loss, whether they can be resumed")
    .argument("[folder]", "folder of run folders", "runs")
    .option("--json", "a line of JSON for each run");
  listing.addHelpText("after", examples("tunesmith runs list", "tunesmith runs list experiments --json"));
  listing.action(async (folder: string, flags) => finish(await listRuns(folder, flags, streams)));
  const comparing = runs
    .command("compare")
    .description("show which options of runs differ, and what came of each")
    .argument("<run-dirs...>", "run folders, two or more")
    .option("--json", "options and figures as one line of JSON")
    .option("--html <file>", "write a page with their curves in one chart as well");
  comparing.addHelpText("after", examples("tunesmith runs compare runs/first runs/second --html compared.html"));
  comparing.action(async (folders: string[], flags) => finish(await compareRuns(folders, flags, streams)));
}

function addChat(program: Command, { streams, input, finish }: Surroundings): void {
  const chatting = program
    .command("chat")
    .description("talk to a model, or to the result of a run")
    .argument("<run-or-model>", targetHelp)
    .optionsGroup(groupTitle("run"))
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option("--prompt <text>", "answer this one prompt and stop")
    .option("--system <text>", "system message to begin with");
  addSchemaFlags(chatting, chatSchemas);
  chatting.addHelpText(
    "after",
    examples("tunesmith chat runs/first", 'tunesmith chat ORG/NAME --prompt "Hello" --temperature 0.7'),
  );
  chatting.action(async (target: string) => finish(await chat(target, flagValues(chatting), streams, input)));
}

function addEval(program: Command, { streams, finish }: Surroundings): void {
  const evaluating = program
    .command("eval")
    .description("measure a model, or the result of a run, on held-out rows, with its base next to it")
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
  addSchemaFlags(evaluating, evalSchemas);
  evaluating.addHelpText(
    "after",
    examples(
      "tunesmith eval runs/first --data held-out.jsonl --output answers.jsonl",
      "tunesmith eval ORG/NAME --data held-out.jsonl --group-by topic --max-new-tokens 64",
    ),
  );
  evaluating.action(async (target: string) => finish(await evaluateTarget(target, flagValues(evaluating), streams)));
}

function addDoctor(program: Command, { streams, finish }: Surroundings): void {
  const checking = program
    .command("doctor")
    .description("check this machine: Node, engine, memory, disk, hub; or a data set: doctor data FILE")
    .action(async () => finish(await doctor(streams)));
  const data = checking
    .command("data")
    .description("look for what in a data set would do harm to a training; exit code 1 when there is an error")
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
  addSchemaFlags(data, trainingSchemas);
  data.addHelpText(
    "after",
    examples(
      "tunesmith doctor data train.jsonl --eval-data eval.jsonl",
      "tunesmith doctor data train.jsonl --model ORG/NAME --max-length 512 --fix clean.jsonl",
    ),
  );
  data.action(async (file: string | undefined) => finish(await doctorData(file, flagValues(data), streams)));
}

function addSynth(program: Command, { streams, finish }: Surroundings): void {
  const making = program
    .command("synth")
    .description("make training rows with a language model")
    .command("self-instruct")
    .description("make rows of a few seed tasks; a run that was interrupted goes on with the same command")
    .optionsGroup(groupTitle("run"))
    .option("--seeds <file>", "seed tasks, JSONL: instruction, instances of input and output, is_classification")
    .option("--output <file>", "rows to write, JSONL of prompt and completion; replies and tasks go beside it")
    .option("--model <run-or-model>", `who writes: ${targetHelp}`)
    .option("--adapter <dir>", "PEFT adapter folder to use; default: the run's")
    .option("--endpoint <url>", "who writes: an endpoint in OpenAI's form; its key is in OPENAI_API_KEY")
    .option("--endpoint-model <name>", "model of that endpoint")
    .option("--requests-per-minute <n>", "requests to the endpoint at most (default: no limit)")
    .option("--json", jsonHelp);
  addSchemaFlags(making, synthSchemas);
  making.addHelpText(
    "after",
    examples(
      "tunesmith synth self-instruct --seeds seeds.jsonl --model ORG/NAME --output rows.jsonl --num-instructions 200",
      "tunesmith synth self-instruct --seeds seeds.jsonl --endpoint http://localhost:8000/v1 --endpoint-model NAME --output rows.jsonl",
    ),
  );
  making.action(async () => finish(await selfInstructFrom(flagValues(making), streams)));
}

function addMerge(program: Command, { streams, finish }: Surroundings): void {
  const merging = program
    .command("merge")
    .description("write a model with its adapter merged in, as a Hugging Face folder, and check its logits")
    .argument("<run-or-model>", targetHelp)
    .option("--dtype <name>", "float32, float16 or bfloat16 (default: the model's 16-bit type, else bfloat16)")
    .option("--max-shard-size <size>", "bytes of a safetensors file at most, such as 5GB or 300MB (default: 5GB)")
    .option("--prompt <text>", "prompt of the check against the model with its adapter on")
    .option("--no-check", "write only");
  addWriting(merging);
  merging.addHelpText("after", examples("tunesmith merge runs/first --output merged"));
  merging.action(async (target: string, flags: Record<string, unknown>) => finish(await merge(target, flags, streams)));
}

function addExport(program: Command, { streams, finish }: Surroundings): void {
  const exporting = program
    .command("export")
    .description("write a model for other programs, or check that one of them reads what was written")
    .argument("[path]", "with --check: adapter folder, model folder or .gguf file")
    .option("--check <reader>", `whether ${exportReaders.join(", ")} reads it, and how it is started`);
  exporting.action(async (path: string | undefined, flags: Record<string, unknown>) =>
    finish(await checkForReader(path, flags, streams)),
  );
  const gguf = exporting
    .command("gguf")
    .description("write a model with its adapter merged in, or the adapter alone, for llama.cpp")
    .argument("<run-or-model>", targetHelp)
    .option(
      "--quantization <type>",
      `${ggufQuantizations.join(", ")}, or Unsloth's fast_quantized, quantized, not_quantized (default: q8_0; with --lora f32)`,
    )
    .option(
      "--imatrix <file>",
      "importance matrix that llama-imatrix wrote: columns that see large numbers keep theirs better",
    )
    .option("--lora", "the adapter alone, for llama.cpp's --lora")
    .option("--modelfile", "an Ollama Modelfile beside the file");
  addWriting(gguf);
  gguf.addHelpText("after", examples("tunesmith export gguf runs/first --output model.gguf"));
  gguf.action(async (target: string, flags: Record<string, unknown>) =>
    finish(await exportToGguf(target, flags, streams)),
  );
  const card = exporting
    .command("card")
    .description("write the model card of a finished run: data, settings, curve, evaluation, without paths")
    .argument("<run>", "run folder")
    .option("--output <path>", "the file to write (default: README.md in the run folder)")
    .option("--overwrite", "replace what is at --output");
  card.addHelpText("after", examples("tunesmith export card runs/first"));
  card.action(async (run: string, flags: Record<string, unknown>) => finish(await exportCard(run, flags, streams)));
}

function addWriting(command: Command): void {
  command
    .option("--output <path>", "what to write; required")
    .option("--adapter <dir>", "PEFT adapter folder to merge; default: the run's")
    .option("--base <name>", "merge into the original weights, or into their nf4 values (default: original)")
    .option("--overwrite", "replace what is at --output");
}

/** Every long flag of every command. */
export function knownFlags(program: Command): KnownFlag[] {
  return [...flagsOf(program), ...program.commands.flatMap(knownFlags)];
}

// What the commands about runs take and do: before one, after one, and several next to each other.
import {
  addSchemaFlags,
  flagValues,
  groupTitle,
  hiddenResumeFlags,
  hideFlags,
  resumeFlagSchemas,
  settingSchemas,
} from "../flags.ts";
import { examples } from "../help.ts";
import { configHelp, type Define, jsonHelp, modelHelp } from "./surroundings.ts";

export const estimate: Define = (estimating, { argv, streams, finish }) => {
  estimating
    .argument("<model>", modelHelp)
    .optionsGroup(groupTitle("run"))
    .option("--config <file>", configHelp)
    .option(
      "--calibrate",
      "also measure how fast it is here: reads the weights, 3 passes to warm up and 5 that are timed",
    )
    .option("--usd-per-hour <price>", "with --calibrate: what the machine costs, to tell what the run does")
    .option("--json", "the estimate as one line of JSON");
  addSchemaFlags(estimating, settingSchemas, argv);
  estimating.addHelpText(
    "after",
    examples(
      "tunesmith estimate ORG/NAME --max-length 512 --load-in-4bit",
      "tunesmith estimate ORG/NAME --max-steps 100 --calibrate --usd-per-hour 2",
    ),
  );
  estimating.action(async (model: string) => {
    const command = await import("../commands/estimate.ts");
    finish(await command.estimate(model, flagValues(estimating), streams));
  });
};

export const resume: Define = (resuming, { argv, streams, finish }) => {
  resuming.argument("<run-dir>", "run folder").optionsGroup(groupTitle("run")).option("--json", jsonHelp);
  addSchemaFlags(resuming, resumeFlagSchemas, argv);
  hideFlags(resuming, hiddenResumeFlags);
  resuming.addHelpText("after", examples("tunesmith resume runs/first", "tunesmith resume runs/first --max-steps 200"));
  resuming.action(async (runDir: string) => {
    const command = await import("../commands/resume.ts");
    finish(await command.resume(runDir, flagValues(resuming), streams));
  });
};

export const list: Define = (listing, { streams, finish }) => {
  listing
    .argument("[folder]", "folder of run folders", "runs")
    .option("--json", "a line of JSON for each run")
    .addHelpText("after", examples("tunesmith runs list", "tunesmith runs list experiments --json"))
    .action(async (folder: string, flags) => {
      const command = await import("../commands/runs.ts");
      finish(await command.listRuns(folder, flags, streams));
    });
};

export const compare: Define = (comparing, { streams, finish }) => {
  comparing
    .argument("<run-dirs...>", "run folders, two or more")
    .option("--json", "options and figures as one line of JSON")
    .option("--html <file>", "write a page with their curves in one chart as well")
    .addHelpText("after", examples("tunesmith runs compare runs/first runs/second --html compared.html"))
    .action(async (folders: string[], flags) => {
      const command = await import("../commands/runs.ts");
      finish(await command.compareRuns(folders, flags, streams));
    });
};

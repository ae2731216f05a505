// What `tunesmith bench` takes and does.
import { shapes } from "../bench/random-model.ts";
import { addSchemaFlags, benchSchemas, flagValues, groupTitle } from "../flags.ts";
import { examples } from "../help.ts";
import type { Define } from "./surroundings.ts";

export const bench: Define = (benching, { argv, streams, finish }) => {
  benching
    .optionsGroup(groupTitle("run"))
    .option("--size <name>", `shape of the model: ${Object.keys(shapes).join(", ")} (default: smollm2-135m)`)
    .option("--json <file>", "write the figures as JSON as well");
  addSchemaFlags(benching, benchSchemas, argv);
  benching.addHelpText("after", examples("tunesmith bench", "tunesmith bench --device cuda --json bench.json"));
  benching.action(async () => {
    const command = await import("../commands/bench.ts");
    finish(await command.bench(flagValues(benching), streams));
  });
};

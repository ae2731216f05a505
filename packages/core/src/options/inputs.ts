// What a run reads: the model and the data sets, as a configuration file or the command line names them.
import { z } from "zod";
import { grouped, path as pathOption } from "./declare.ts";

const path = pathOption.nullable().default(null);

/** What a run reads. */
export const runInputsSchema = z
  .strictObject({
    ...grouped("run", {
      model: path.describe(
        "Model folder, GGUF file, or ORG/NAME of the Hugging Face Hub. Default: none; it has to be given.",
      ),
      modelRevision: z
        .string()
        .min(1)
        .nullable()
        .default(null)
        .describe(
          "Branch, tag or commit of a model of the Hub (TRL's model_revision); beside it `model` is never a local path. Default: the branch main.",
        ),
    }),
    ...grouped("data", {
      data: path.describe(
        "Training rows: a file or folder of them, in any of the formats of datasetFormat. Default: none; they have to be given.",
      ),
      evalData: path.describe("Held-out rows, in the same formats. Default: none."),
    }),
  })
  .meta({ title: "RunInputs", description: "What a run reads." });

/** Inputs with their defaults. */
export type ParsedRunInputs = z.output<typeof runInputsSchema>;

// What a run reads: the model and the data sets, as a configuration file or the command line names them.
import * as z from "zod";
import { grouped, path as pathOption } from "./declare.ts";

const path = pathOption.nullable().default(null);

/** A data set, or several that are mixed, as a configuration file names them. */
export const datasetSpecSchema = z.union([
  pathOption,
  datasetEntry(),
  z.array(z.union([pathOption, datasetEntry()])).min(1),
]);

function datasetEntry() {
  return z.strictObject({
    path: pathOption.describe("File or folder, or ORG/NAME of the Hugging Face Hub."),
    weight: z.number().positive().optional().describe("Its share of the rows of a mix, relative to the others."),
    name: z.string().min(1).optional().describe("Configuration (subset) of a data set of the Hub."),
    split: z.string().min(1).optional().describe("Split of a data set of the Hub."),
    revision: z.string().min(1).optional().describe("Branch, tag or commit of a data set of the Hub."),
  });
}

/** A data set, or several that are mixed, as a configuration file names them. */
export type DatasetSpec = z.output<typeof datasetSpecSchema>;

/** Held-out rows, as a configuration file names them: one data set, or several by name. */
export const evalDatasetSpecSchema = z.union([datasetSpecSchema, z.record(z.string().min(1), datasetSpecSchema)]);

/** Held-out rows, as a configuration file names them. */
export type EvalDatasetSpec = z.output<typeof evalDatasetSpecSchema>;

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
      data: datasetSpecSchema
        .nullable()
        .default(null)
        .describe(
          "Training rows: a file or folder, ORG/NAME of the Hub, { path, name, split, revision } of it, or a list of these, with weights to mix them. Default: none; they have to be given.",
        ),
      evalData: evalDatasetSpecSchema
        .nullable()
        .default(null)
        .describe(
          "Held-out rows, in the same forms; several sets by name, { a: …, b: … }, have metrics of their own such as eval_a_loss. Default: none.",
        ),
    }),
  })
  .meta({ title: "RunInputs", description: "What a run reads." });

/** Inputs with their defaults. */
export type ParsedRunInputs = z.output<typeof runInputsSchema>;

// The schemas of all options, in the order in which documents show them.
import {
  batchGenerationConfigSchema,
  deviceOptionsSchema,
  dpoConfigSchema,
  evaluationConfigSchema,
  generationConfigSchema,
  grpoConfigSchema,
  loraConfigSchema,
  modelConfigSchema,
  rolloutConfigSchema,
  runInputsSchema,
  selfInstructConfigSchema,
  sftConfigSchema,
  trainingArgumentsSchema,
} from "@tunesmith/core";
import type { z } from "zod";

/** A schema, and the one that it extends. */
export interface NamedSchema {
  schema: z.ZodObject;
  extends?: z.ZodObject;
}

/** Schemas with a public type. */
export const publicSchemas: readonly NamedSchema[] = [
  { schema: trainingArgumentsSchema },
  { schema: sftConfigSchema, extends: trainingArgumentsSchema },
  { schema: dpoConfigSchema, extends: trainingArgumentsSchema },
  { schema: grpoConfigSchema, extends: trainingArgumentsSchema },
  { schema: loraConfigSchema },
  { schema: modelConfigSchema },
  { schema: deviceOptionsSchema },
  { schema: generationConfigSchema },
  { schema: rolloutConfigSchema },
  { schema: batchGenerationConfigSchema, extends: rolloutConfigSchema },
  { schema: evaluationConfigSchema },
  { schema: selfInstructConfigSchema },
];

/** Schemas whose options a configuration file may hold, all on one level. */
export const fileSchemas: readonly z.ZodObject[] = [
  runInputsSchema,
  deviceOptionsSchema,
  sftConfigSchema,
  loraConfigSchema,
  modelConfigSchema,
];

/** The name of a schema's type. */
export function titleOf(schema: z.ZodType): string {
  return schema.meta()?.title ?? "";
}

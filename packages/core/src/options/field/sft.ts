// Names of TRL's SFTConfig for which nothing has to be done here, and those whose effect is not there yet.
import * as z from "zod";
import { anyObject, none, notYet, off, taken } from "./verdicts.ts";

const noPadding = "rows lie end to end and are never padded";

/** Names that are taken. */
export const takenSft = {
  trustRemoteCode: taken(
    z.boolean(),
    false,
    "code of a repository is never run; model families are part of the engine",
  ),
  modelInitKwargs: taken(
    z.union([z.string(), anyObject]),
    null,
    "the model is open already, as for TRL with a model that is loaded; tunesmith sft opens it with them",
  ),
  datasetNumProc: taken(z.int(), null, "rows are tokenised in Rust and in the background, without worker processes"),
  datasetKwargs: taken(
    z.union([z.string(), anyObject]),
    null,
    "rows that are tokenised already are recognised by their columns",
  ),
  paddingFree: taken(z.boolean(), false, noPadding),
  padToMultipleOf: taken(z.union([z.int(), z.string()]), "auto", noPadding),
  padToken: taken(z.string(), null, noPadding),
};

/** Names whose effect is not there yet. */
export const missingSft = {
  routerAuxLossCoef: notYet(
    z.union([z.literal(0), none]),
    null,
    "other",
    "the load of experts is not balanced by a loss; give 0 or leave it out",
  ),
  activationOffloading: notYet(
    off,
    false,
    "other",
    'activations stay on the device; gradientCheckpointing: "auto" saves memory',
  ),
};

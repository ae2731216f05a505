// Names of how a model is loaded for which nothing has to be done here, and those whose effect is not there yet.
import * as z from "zod";
import { notYet, off, taken } from "./verdicts.ts";

/** Names that are taken. */
export const takenModel = {
  attnImplementation: taken(z.string(), null, "attention is the engine's own, whose scores exist in tiles only"),
  bnb4bitQuantStorage: taken(z.string(), null, "four-bit weights lie in bytes, two to each"),
};

/** Names whose effect is not there yet. */
export const missingModel = {
  loadIn8bit: notYet(
    off,
    false,
    "other",
    "eight bits are not implemented; loadIn4bit holds the layers in four, dtype in sixteen",
  ),
};

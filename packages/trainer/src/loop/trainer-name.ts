// Which trainer a run is of, as its configuration and its checkpoints name it.

/** The trainer of a run that names none: what was written before there was another stays as it is. */
export const defaultTrainer = "sft";

/** The entry that names a trainer; none for the default one. */
export function trainerEntry(trainer: string): { trainer?: string } {
  return trainer === defaultTrainer ? {} : { trainer };
}

// What a check of an installed release is.
import type { Place, Release } from "./place.ts";

/** One thing that a user does with what was installed. */
export interface InstallCheck {
  /** Its row in the nightly result. */
  id: string;
  /** Does it; throws what went wrong, and gives a note where there is something to say. */
  run(place: Place, release: Release): Promise<string>;
}

// What a part of the nightly run is: a room that can go on for as long as there is time, and says how far it came.

/** How long a part may go on, and on how many threads. */
export interface Allowance {
  minutes: number;
  threads: number;
  /** The one thing to try, by a name that the part knows; the rows of the others are kept as they were. */
  only?: string | undefined;
}

/** How far one row of a part came. */
export interface Reached {
  /** What was tried, such as a parser's name. */
  id: string;
  cases: number;
  /** Cases that did what they must not; each is named in the output and kept where the part says. */
  failures: number;
  seconds: number;
  /** What else there is to say, such as how many cases were accepted. */
  note?: string;
  /** Cases that went through although they need not have, each as place, what was tried, and why nothing can be seen. */
  survivors?: string[];
}

/** A part: `test/nightly/NAME.ts`, registered in `main.ts`. */
export interface Part {
  /** One sentence for the table. */
  what: string;
  run(allowance: Allowance): Promise<Reached[]>;
}

// One line of the report of goldens.

/** One line of the report of goldens. The engine's runner prints the same fields. */
export interface Outcome {
  /** Folder and check. */
  case: string;
  /** Largest error in the tolerance's measure; null for one that is no number. */
  error: number | null;
  tolerance: number;
  verdict: "passed" | "failed" | "unsupported";
  note: string;
}

export function measured(name: string, error: number, tolerance: number): Outcome {
  return { case: name, error, tolerance, verdict: error <= tolerance ? "passed" : "failed", note: "" };
}

export function unsupported(name: string, note: string): Outcome {
  return { case: name, error: null, tolerance: 0, verdict: "unsupported", note };
}

export function broken(name: string, cause: unknown): Outcome {
  return {
    case: name,
    error: null,
    tolerance: 0,
    verdict: "failed",
    note: cause instanceof Error ? cause.message : String(cause),
  };
}

/** |got − expected| / |expected|; infinite for what is no number. */
export function relative(got: number, expected: number): number {
  const error = expected === 0 ? Math.abs(got) : Math.abs((got - expected) / expected);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

/** Runs one case; what it throws becomes its outcome. */
export async function attempt(name: string, run: () => Promise<Outcome[]>): Promise<Outcome[]> {
  try {
    return await run();
  } catch (error) {
    if ((error as { code?: unknown }).code === "MODEL_UNSUPPORTED")
      return [unsupported(name, (error as Error).message)];
    return [broken(name, error)];
  }
}

// The divergence of a token from what the reference says of it.

/**
 * k3 = exp(ref − new) − (ref − new) − 1, never negative and without bias, and its derivative by the log-probability
 * (http://joschu.net/blog/kl-approx.html).
 */
export function k3(logProb: number, reference: number): { value: number; slope: number } {
  const difference = reference - logProb;
  const ratio = Math.exp(difference);
  return { value: ratio - difference - 1, slope: 1 - ratio };
}

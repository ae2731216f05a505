// What an answer of a server says besides its body, and why there is none.

/** Milliseconds of the header Retry-After, in seconds or as a date; 0 without one. */
export function retryAfter(response: Response): number {
  const text = response.headers.get("retry-after") ?? "";
  const wait = /^\d+$/u.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(wait) ? 0 : Math.max(0, wait);
}

/** Ends an answer that is not wanted. */
export function discard({ body }: Response): void {
  body?.cancel().catch(() => {});
}

/** Why a request failed: what fetch itself hides in `cause`. */
export function failureOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string; message?: string }; message: string };
  return cause?.code ?? cause?.message ?? message;
}

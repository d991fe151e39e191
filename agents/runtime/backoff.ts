/**
 * Full-jitter exponential backoff (the name and the reasons: Marc Brooker, "Exponential Backoff And Jitter"):
 * each wait is uniform between zero and a ceiling that doubles. Ten thousand agents that lose their server in
 * the same instant come back evenly spread instead of in waves.
 */
export type BackoffLimits = { readonly baseMs: number; readonly capMs: number }

export const defaultBackoff: BackoffLimits = { baseMs: 500, capMs: 30_000 }

/** The longest wait before try number `attempt` (0 is the first), in milliseconds. */
export const backoffCeiling = (attempt: number, limits: BackoffLimits = defaultBackoff): number =>
  // Past 2^30 the cap has long been reached; a larger exponent only asks for Infinity.
  Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt, 30))

/** `random` lies in [0, 1). Milliseconds, whole. */
export const fullJitter = (attempt: number, random: number, limits: BackoffLimits = defaultBackoff): number =>
  Math.floor(random * backoffCeiling(attempt, limits))

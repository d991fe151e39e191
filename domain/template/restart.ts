/** How often and how soon what should run is started again: the same for an agent's restarts and the server's repairs. */

/** `restart.maxRetries` of a template that names none. */
export const DEFAULT_MAX_RETRIES = 3

export type Backoff = { readonly baseMs: number; readonly capMs: number }

export const RESTART_BACKOFF: Backoff = { baseMs: 1_000, capMs: 30_000 }

/** After so long without trouble earlier restarts and repairs no longer count. */
export const HEALTHY_AFTER_MS = 600_000

/** The wait before the next start, doubled with each that was tried before. */
export const backoffMs = (retries: number, { baseMs, capMs }: Backoff): number =>
  Math.min(capMs, baseMs * 2 ** Math.min(retries, 30))

/** As people read it. */
export const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`

export const times = (count: number): string => (count === 1 ? 'once' : `${count} times`)

/** Ends all that runs of a session. */
import { type Life, type Surroundings, save, saveRun, stopGraceMs } from './session-life.ts'
import type { SessionRecord } from './session-record.ts'
import { endShim, type Terminated, terminate } from './terminate.ts'

/** What a command leaves behind when it ends by itself gets less time than a session that is asked to end. */
const LEFTOVERS_GRACE_MS = 2_000

export const takeDown = async (
  around: Surroundings,
  life: Life,
  options: { readonly graceMs?: number; readonly signal?: AbortSignal } = {},
): Promise<Terminated> => {
  const { workload } = life
  // It may have been interrupted while it was being started: what is not there yet would not be found, and come later.
  const beginning = await workload?.settleBeginning(options.signal)
  if (beginning === 'open' && options.signal?.aborted) return { kind: 'interrupted' }
  // Nobody is to wait for it, not even after an interruption.
  if (beginning === 'never') life.workload = null
  const ended = await terminate({
    find: () => around.members(life),
    command: () => workload?.command() ?? null,
    graceMs: options.graceMs ?? stopGraceMs(life.record),
    signal: options.signal,
  })
  if (ended.kind !== 'gone') return ended
  const shim = workload?.shim() ?? null
  if (shim !== null) await endShim(shim)
  await workload?.check()
  if (life.workload === workload) life.workload = null
  return ended
}

/** Written down first: whoever finds these processes after a crash must not take them for a session in order. */
export const discard = async (
  around: Surroundings,
  life: Life,
  change: Partial<SessionRecord>,
  options: { readonly graceMs?: number; readonly signal?: AbortSignal; readonly evenUnwritten?: boolean } = {},
): Promise<Terminated> => {
  const run = life.record.run
  const written = save(life, { ...change, run: run === null ? null : { ...run, discarded: true } })
  await (options.evenUnwritten === true ? written.catch(() => {}) : written)
  await around.step('discarded')
  const ended = await takeDown(around, life, options)
  await around.step('taken_down')
  return ended
}

export const clearLeftovers = (around: Surroundings, life: Life): Promise<Terminated> =>
  takeDown(around, life, { graceMs: Math.min(stopGraceMs(life.record), LEFTOVERS_GRACE_MS) })

/** For good reasons of the agent's own, which the exit would not tell. */
export const rememberEnding = (life: Life, reason: string, message: string): Promise<void> =>
  saveRun(life, { ending: { reason, message } })

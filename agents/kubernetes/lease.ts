/**
 * Which of several replicas of an agent works: the one that holds a Lease (coordination.k8s.io). Each write of it is
 * conditional on what was read. Whoever cannot renew it stops well before another may take it, by its own clock:
 * clocks of different machines are never compared, a lease is over when it was seen unchanged for its whole time.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { V1Lease } from '@kubernetes/client-node'
import { type Log, messageOf } from '../runtime/log.ts'
import { isConflict, isGone } from './api.ts'
import { kinds } from './kinds.ts'
import { type Objects, seenOf } from './objects-client.ts'

export type LeaseTimes = {
  /** Unchanged for so long, it is anybody's. */
  readonly durationMs: number
  readonly renewMs: number
  /** Not renewed for so long, its holder works no more. */
  readonly giveUpMs: number
}

export const leaseTimes: LeaseTimes = { durationMs: 8_000, renewMs: 2_000, giveUpMs: 5_500 }

export type Tenure = {
  /** Resolves when it is no longer held, with why. */
  readonly lost: Promise<string>
  /** Gives it to whoever waits. */
  readonly release: () => Promise<void>
}

export type Applicant = { readonly name: string; readonly holder: string }

/** Waits until it is held; null when aborted before. */
export const holdLease = async (
  objects: Objects,
  { name, holder }: Applicant,
  signal: AbortSignal,
  log: Log,
  times: LeaseTimes = leaseTimes,
): Promise<Tenure | null> => {
  const lease = (acquired: boolean, transitions: number): V1Lease => ({
    metadata: { name },
    spec: {
      holderIdentity: acquired ? holder : '',
      leaseDurationSeconds: Math.ceil(times.durationMs / 1000),
      renewTime: microTime() as never,
      leaseTransitions: transitions,
    },
  })
  let seen: { readonly resourceVersion: string; readonly at: number } | null = null
  let waitingFor = ''

  /** null: somebody else's. */
  const tryOnce = async (): Promise<Held | null> => {
    const asked = async (answer: Promise<V1Lease>): Promise<Held> => ({
      askedAt: performance.now(),
      lease: await answer,
    })
    let there: V1Lease
    try {
      there = await objects.get<V1Lease>(kinds.lease, name)
    } catch (error) {
      if (!isGone(error)) throw error
      return asked(objects.create(kinds.lease, lease(true, 0)))
    }
    const { resourceVersion } = seenOf(there)
    const now = performance.now()
    if (seen?.resourceVersion !== resourceVersion) seen = { resourceVersion, at: now }
    const current = there.spec?.holderIdentity ?? ''
    const isOver = current === '' || current === holder || now - seen.at >= times.durationMs
    if (!isOver) {
      if (waitingFor !== current) log.info({ lease: name, holder: current }, 'another replica works; this one waits')
      waitingFor = current
      return null
    }
    return asked(objects.apply(kinds.lease, lease(true, (there.spec?.leaseTransitions ?? 0) + 1), seenOf(there)))
  }

  const acquire = async (): Promise<Held | null> => {
    while (!signal.aborted) {
      try {
        const held = await tryOnce()
        if (held !== null) return held
      } catch (error) {
        if (!isConflict(error)) log.warn({ lease: name, error: messageOf(error) }, 'the lease could not be asked for')
      }
      await pause(times.renewMs / 2, signal)
    }
    return null
  }

  const held = await acquire()
  if (held === null) return null
  log.info({ lease: name, holder }, 'this replica works now')
  const isOurs = ({ spec }: V1Lease): boolean => spec?.holderIdentity === holder
  const next = (current: V1Lease, acquired: boolean) => lease(acquired, current.spec?.leaseTransitions ?? 0)
  return keep(objects, held, next, isOurs, times)
}

/** From before it was asked for: an answer that took long is no longer as good as new. */
type Held = { readonly lease: V1Lease; readonly askedAt: number }

const keep = (
  objects: Objects,
  { lease: first, askedAt: firstAskedAt }: Held,
  lease: (current: V1Lease, acquired: boolean) => V1Lease,
  isOurs: (there: V1Lease) => boolean,
  times: LeaseTimes,
): Tenure => {
  const over = new AbortController()
  let current = first
  let renewedAt = firstAskedAt
  /** False: somebody else has it. */
  const write = async (acquired: boolean): Promise<boolean> => {
    try {
      current = await objects.apply<V1Lease>(kinds.lease, lease(current, acquired), seenOf(current))
      return true
    } catch (error) {
      if (!isConflict(error)) throw error
    }
    // Not taken by another for that: the answer to the renewal before may have been lost on the way, or somebody has edited it.
    const there = await objects.get<V1Lease>(kinds.lease, first.metadata?.name ?? '')
    if (!isOurs(there)) return false
    current = await objects.apply<V1Lease>(kinds.lease, lease(there, acquired), seenOf(there))
    return true
  }
  const renew = async (): Promise<string> => {
    while (!over.signal.aborted) {
      await pause(times.renewMs, over.signal)
      if (over.signal.aborted) break
      const askedAt = performance.now()
      try {
        if (!(await write(true))) return 'another replica has taken the lease'
        renewedAt = askedAt
      } catch (error) {
        if (isGone(error)) return 'somebody has deleted the lease'
      }
    }
    return 'it was given back'
  }
  const renewing = renew()
  // By a clock of its own: a renewal that hangs must not keep this from being noticed, nor a machine that slept.
  const tooOld = new Promise<string>((resolve) => {
    const timer = setInterval(() => {
      if (over.signal.aborted) clearInterval(timer)
      else if (performance.now() - renewedAt > times.giveUpMs) {
        clearInterval(timer)
        resolve('the lease could not be renewed in time')
      }
    }, times.renewMs / 5)
  })
  return {
    lost: Promise.race([renewing, tooOld]),
    release: async () => {
      over.abort()
      await renewing
      if (performance.now() - renewedAt > times.giveUpMs) return
      await write(false).catch(() => {})
    },
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  wait(ms * (0.8 + Math.random() * 0.2), undefined, { signal }).catch(() => {})

/** As the API writes it: six digits of a second. */
const microTime = (): string => new Date().toISOString().replace('Z', '000Z')

/**
 * A platform that does nothing: it keeps in memory what it was told and says that it is so. For tests, which
 * read its ledger of effects, and for benchmarks, where everything but the platform is to be measured. No
 * timer and no file for any session.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { WireCapacity, WireObserved } from '../../agents/protocol.ts'
import type { Held, Platform, PlatformListener, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'

export type Effect = {
  readonly sessionId: SessionId
  readonly generation: number
  readonly state: Target['desired']['state']
  readonly incarnation: number
}

export type LedgerSettings = {
  readonly name?: string
  readonly capacity?: WireCapacity
  /** How long an apply takes: milliseconds, or until the promise resolves. An apply that is interrupted meanwhile has no effect. */
  readonly delay?: number | ((target: Target, signal: AbortSignal) => Promise<void>)
  /** A benchmark of hours does not want a list of all it did. */
  readonly keepEffects?: boolean
}

export type LedgerPlatform = Platform & {
  /** In the order in which they took effect. */
  readonly effects: readonly Effect[]
  /** What the runtime may not do: two applies of one session at a time, or one at a generation not above the one held. */
  readonly violations: readonly string[]
  readonly ending: () => 'closed' | 'suspended' | null
  /** The session changes by itself. */
  readonly change: (sessionId: SessionId, observed: WireObserved) => void
  /** Everything of it is removed by hand. */
  readonly lose: (sessionId: SessionId) => void
  /** What the runtime gave to `open`, to be spoken to as the platform would. */
  readonly listener: () => PlatformListener
}

const manyOfEverything: WireCapacity = { maxSessions: 1_000_000, cpuMillis: 2_000_000_000, memoryMib: 2_000_000_000 }

const running: WireObserved = {
  status: 'running',
  endpoint: { url: 'http://127.0.0.1:9/', host: '127.0.0.1', port: 9, protocol: 'http' },
}

/** What an applied target is seen as, and whether anything of it is left. */
const seen = ({ desired }: Target): { readonly observed: WireObserved | null; readonly left: boolean } => {
  switch (desired.state) {
    case 'running':
      return { observed: running, left: true }
    case 'hibernated':
    case 'stopped':
      return { observed: { status: desired.state }, left: desired.persistentHome || desired.state === 'hibernated' }
    case 'deleted':
      return { observed: null, left: false }
  }
}

export const createLedgerPlatform = (settings: LedgerSettings = {}): LedgerPlatform => {
  const { delay, keepEffects = true } = settings
  const sessions = new Map<SessionId, Held>()
  const busy = new Set<SessionId>()
  const effects: Effect[] = []
  const violations: string[] = []
  let listener: PlatformListener | null = null
  let ending: 'closed' | 'suspended' | null = null

  const listening = (): PlatformListener => {
    if (listener === null) throw new Error('the platform was not opened')
    return listener
  }

  const take = (target: Target, signal: AbortSignal): Promise<void> | undefined => {
    if (typeof delay === 'function') return delay(target, signal)
    // The abort only ends the waiting early; that it came is seen from the signal.
    if (delay !== undefined) return wait(delay, undefined, { signal }).catch(() => {})
    return undefined
  }

  const check = ({ sessionId, generation }: Target): void => {
    const held = sessions.get(sessionId)?.generation ?? -1
    if (busy.has(sessionId)) violations.push(`two applies of ${sessionId} at a time`)
    if (generation <= held) violations.push(`${sessionId} at ${generation}, which is not above ${held}`)
  }

  const takeEffect = (target: Target): WireObserved | null => {
    const { sessionId, generation, desired } = target
    const { observed, left } = seen(target)
    if (left && observed !== null) sessions.set(sessionId, { generation, observed })
    else sessions.delete(sessionId)
    if (keepEffects) effects.push({ sessionId, generation, state: desired.state, incarnation: desired.incarnation })
    return observed
  }

  return {
    name: settings.name ?? 'process',
    capacity: async () => settings.capacity ?? manyOfEverything,
    open: async (opened) => {
      listener = opened
    },
    held: (sessionId) => sessions.get(sessionId) ?? null,
    apply: async (target, { signal }) => {
      check(target)
      busy.add(target.sessionId)
      try {
        await take(target, signal)
        return signal.aborted ? { kind: 'interrupted' } : { kind: 'applied', observed: takeEffect(target) }
      } finally {
        busy.delete(target.sessionId)
      }
    },
    inventory: () =>
      [...sessions].map(([sessionId, { generation, observed }]) => ({
        sessionId,
        generation,
        status: observed.status,
        ...(observed.reason === undefined ? {} : { reason: observed.reason }),
        ...(observed.endpoint === undefined ? {} : { endpoint: observed.endpoint }),
      })),
    close: async () => {
      ending = 'closed'
    },
    suspend: async () => {
      ending = 'suspended'
    },
    effects,
    violations,
    ending: () => ending,
    change: (sessionId, observed) => {
      const generation = sessions.get(sessionId)?.generation ?? 0
      sessions.set(sessionId, { generation, observed })
      listener?.report({ sessionId, generation, ...observed })
    },
    lose: (sessionId) => {
      sessions.delete(sessionId)
    },
    listener: listening,
  }
}

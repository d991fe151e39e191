/**
 * A stand-in for a platform, durable as a real one is: what it did outlives the agent's process, in a ledger
 * (`ledger.ts`). A session can end and run again by itself, and the disk can be full: while there is a file
 * `full` beside the ledger, nothing can be written.
 */
import { closeSync, existsSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { WireCapacity, WireObserved } from '../../agents/protocol.ts'
import type { Applied, Held, Platform, PlatformListener, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'
import { type HeldThere, type LedgerLine, ledgerNow, replay } from './ledger.ts'

export type DurablePlatform = Platform & {
  /**
   * One of the running sessions ends by itself; answers which. `staying`: one that no other agent can be given.
   * One of the `preferred`, if any of them will do.
   */
  readonly crash: (chosen: number, staying: boolean, preferred: ReadonlySet<string>) => string | null
  /** That session runs again by itself. */
  readonly revive: (session: string) => void
}

type Settings = {
  readonly directory: string
  readonly capacity: WireCapacity
  readonly epoch: () => number | null
  readonly written: (line: LedgerLine) => void
}

const observedOf = (there: HeldThere): WireObserved => {
  switch (there.status) {
    case 'running':
      return {
        status: 'running',
        endpoint: { url: 'http://127.0.0.1:9/', host: '127.0.0.1', port: 9, protocol: 'http' },
      }
    case 'failed':
      return { status: 'failed', reason: 'exited_early', message: 'ended by itself', exitCode: 1 }
    case 'hibernated':
    case 'stopped':
      return { status: there.status }
  }
}

const fullDisk = (): NodeJS.ErrnoException =>
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

/** What an agent was told over a connection that is lost is done, or never begun, after this long. */
export const LONGEST_APPLY_MS = 400 + (4_096 >> 2)

/** Most applies are quick; one in sixteen takes long enough for a fault to find it under way. */
const applyMs = ({ sessionId, generation }: Target): number => {
  const dice = (Number.parseInt(sessionId.slice(-4), 16) + 7_919 * generation) % 4_096
  return dice % 16 === 0 ? 400 + (dice >> 2) : dice % 60
}

export const createDurablePlatform = (settings: Settings): DurablePlatform => {
  const path = join(settings.directory, 'ledger.jsonl')
  const held = new Map<string, HeldThere>()
  const file = openSync(path, 'a')
  let listener: PlatformListener | null = null

  const read = (): void => {
    for (const text of readFileSync(path, 'utf8').split('\n'))
      if (text.endsWith('}')) replay(held, JSON.parse(text) as LedgerLine)
  }

  /** Throws ENOSPC, and then nothing has happened. */
  const append = (line: LedgerLine): void => {
    if (existsSync(join(settings.directory, 'full'))) {
      listener?.degraded('the disk is full')
      throw fullDisk()
    }
    writeSync(file, `${JSON.stringify(line)}\n`)
    listener?.degraded(null)
    replay(held, line)
    settings.written(line)
  }

  const heldOf = (session: string): Held | null => {
    const there = held.get(session)
    return there === undefined ? null : { generation: there.generation, observed: observedOf(there) }
  }

  const take = ({ sessionId, generation, desired }: Target): void => {
    const before = held.get(sessionId)
    const left = desired.state === 'running' || (desired.state !== 'deleted' && desired.persistentHome)
    if (!left && before === undefined) {
      append({ what: 'nothing', at: ledgerNow(), session: sessionId, generation })
      return
    }
    append({
      what: 'effect',
      at: ledgerNow(),
      session: sessionId,
      generation,
      state: desired.state,
      incarnation: desired.incarnation,
      epoch: settings.epoch(),
      left,
      home: desired.persistentHome,
    })
  }

  const apply = async (target: Target, signal: AbortSignal): Promise<Applied> => {
    // The abort only ends the waiting early; that it came is seen from the signal.
    await wait(applyMs(target), undefined, { signal }).catch(() => {})
    if (signal.aborted) return { kind: 'interrupted' }
    try {
      take(target)
    } catch (error) {
      return { kind: 'failed', code: 'disk_full', message: (error as Error).message, retryable: true }
    }
    const { state } = target.desired
    const observed = heldOf(target.sessionId)?.observed ?? (state === 'deleted' ? null : { status: state })
    return { kind: 'applied', observed }
  }

  const changed = (session: string, what: 'crashed' | 'revived'): boolean => {
    try {
      append({ what, at: ledgerNow(), session })
    } catch {
      return false
    }
    const now = heldOf(session)
    if (now !== null) listener?.report({ sessionId: session as SessionId, generation: now.generation, ...now.observed })
    return true
  }

  return {
    name: 'process',
    capacity: async () => settings.capacity,
    open: async (opened) => {
      read()
      listener = opened
      try {
        append({ what: 'up', at: ledgerNow(), pid: process.pid })
      } catch {
        // A full disk does not keep an agent from starting.
      }
    },
    held: (sessionId) => heldOf(sessionId),
    apply: (target, { signal }) => apply(target, signal),
    inventory: () =>
      [...held].map(([sessionId, there]) => {
        const { status, reason, endpoint } = observedOf(there)
        return {
          sessionId: sessionId as SessionId,
          generation: there.generation,
          status,
          ...(reason === undefined ? {} : { reason }),
          ...(endpoint === undefined ? {} : { endpoint }),
        }
      }),
    close: async () => closeSync(file),
    suspend: async () => closeSync(file),
    crash: (chosen, staying, preferred) => {
      const running = [...held].filter(([, there]) => there.status === 'running' && (there.home || !staying))
      const better = running.filter(([id]) => preferred.has(id))
      const from = better.length > 0 ? better : running
      const session = from[chosen % Math.max(1, from.length)]?.[0]
      return session !== undefined && changed(session, 'crashed') ? session : null
    },
    revive: (session) => {
      if (held.get(session)?.status === 'failed') changed(session, 'revived')
    },
  }
}

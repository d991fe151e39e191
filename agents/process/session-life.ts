/** A session as the agent holds it: its record on disk, its processes, and what is shown of it. */

import type { WireObserved } from '../protocol.ts'
import type { Log } from '../runtime/log.ts'
import { endpointOf, over, resting, running, starting } from '../runtime/observed.ts'
import type { PlatformListener } from '../runtime/platform.ts'
import type { Host } from './host.ts'
import type { ProcessRow } from './process-table.ts'
import type { SessionFiles } from './session-files.ts'
import { type SessionRecord, writeRecord } from './session-record.ts'
import type { defaults, ProcessSettings } from './settings.ts'
import type { Uids } from './uids.ts'
import type { Workload } from './workload.ts'

export type Settings = ProcessSettings & Widened<typeof defaults>
type Widened<S> = { readonly [K in keyof S & keyof ProcessSettings]-?: NonNullable<ProcessSettings[K]> }

/** What every part of the platform works with. */
export type Surroundings = {
  readonly settings: Settings
  readonly host: Host
  readonly log: Log
  readonly listener: PlatformListener
  /** The processes of a session at this moment. */
  readonly members: (life: Life) => Promise<readonly ProcessRow[]>
  /** Ports of the other sessions, whether or not they listen yet. */
  readonly portsTaken: (life: Life) => ReadonlySet<number>
  /** null: all sessions run as the agent's own user. */
  readonly uids: Uids | null
  /** Told of what went wrong with the machine itself, such as a full disk. */
  readonly trouble: (error: unknown) => void
  /** For tests that end the agent between any two steps. */
  readonly step: (name: string) => Promise<void>
}

export type Life = {
  record: SessionRecord
  readonly files: SessionFiles
  workload: Workload | null
  /** Now, as it is shown; the record has what was last settled. */
  observed: WireObserved
  /** What is being done with it; the next one interrupts it and waits for it. */
  task: { readonly controller: AbortController; readonly done: Promise<unknown> } | null
  /** Writes of the record, one after another. */
  saving: Promise<void>
}

export const lifeOf = (record: SessionRecord, files: SessionFiles): Life => ({
  record,
  files,
  workload: null,
  observed: record.observed,
  task: null,
  saving: Promise.resolve(),
})

/** In memory at once, on disk when it resolves. */
export const save = (life: Life, change: Partial<SessionRecord>): Promise<void> => {
  life.record = { ...life.record, ...change }
  const write = (): Promise<void> => writeRecord(life.files.record, life.record)
  const written = life.saving.then(write)
  life.saving = written.catch(() => {})
  return written
}

export const saveRun = (life: Life, change: Partial<NonNullable<SessionRecord['run']>>): Promise<void> =>
  save(life, { run: life.record.run === null ? null : { ...life.record.run, ...change } })

/** A record that was made so, and how the session is now. */
export const settle = async (
  life: Life,
  observed: WireObserved,
  change: Partial<SessionRecord> = {},
): Promise<WireObserved> => {
  life.observed = observed
  await save(life, { ...change, observed, settled: true })
  return observed
}

/** The generation that is so; of one that is not yet, the one below it. */
export const generationOf = ({ settled, generation }: SessionRecord): number =>
  settled ? generation : Math.max(0, generation - 1)

export const report = (around: Surroundings, life: Life): void => {
  if (!life.record.settled) return
  const { sessionId, generation } = life.record
  around.listener.report({ sessionId, generation, ...life.observed })
}

export const stopGraceMs = ({ desired }: SessionRecord): number => (desired.spec.stopGraceSeconds ?? 10) * 1000
export const startTimeoutMs = ({ desired }: SessionRecord): number => (desired.spec.startTimeoutSeconds ?? 300) * 1000

export const runningNow = (life: Life, advertiseHost: string): WireObserved => {
  const { desired, ports, accessToken, restarts } = life.record
  const endpoint = endpointOf(desired.spec, { host: advertiseHost, port: (name) => ports[name], accessToken })
  return running(endpoint, restarts)
}

export const startingNow = (life: Life, reason: string, message: string): WireObserved =>
  starting(life.record.restarts, reason, message)

export const overNow = (life: Life, ...rest: Tail<Parameters<typeof over>>): WireObserved =>
  over(life.record.restarts, ...rest)

export const restingNow = (life: Life, status: 'stopped' | 'hibernated'): WireObserved =>
  resting(life.record.restarts, status)

type Tail<T extends readonly unknown[]> = T extends readonly [unknown, ...infer Rest] ? Rest : never

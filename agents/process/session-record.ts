/**
 * What was applied, beside the session itself: a new agent learns everything from here. It holds secrets
 * (environment, access token) and is readable by the agent's user alone.
 */
import { readFile } from 'node:fs/promises'
import type { SessionId } from '../../domain/ids.ts'
import type { Desired, WireObserved } from '../protocol.ts'
import type { Ending } from '../runtime/exit.ts'
import type { Identity } from './process-table.ts'
import { writeWhole } from './write-file.ts'

/** One life of the command; `instance` names its folder and stands in its shim's arguments. */
export type Run = {
  readonly instance: string
  readonly hostEpoch: string
  readonly startedAt: string
  /** Where in the output file this life begins. */
  readonly outputFrom: number
  readonly shim: Identity | null
  readonly command: Identity | null
  /** Which restart that a person asked for it belongs to. */
  readonly incarnation: number
  /** Since when it was ready; null: it is not, or not yet. */
  readonly readyAt: string | null
  /** Why the agent ended it, written before it does: the exit alone would look like somebody's kill. */
  readonly ending: Ending | null
  /** Ended because something else was asked for, or is being ended: nothing of it may be adopted any more. */
  readonly discarded: boolean
}

/**
 * `up`: the command runs, or is being started. `waiting`: it ended and will be started again. `down`: nothing
 * runs. `suspended`: ended by the agent's own end, to be started again with it.
 */
export type Phase = 'up' | 'waiting' | 'down' | 'suspended'

export type SessionRecord = {
  readonly version: 1
  readonly sessionId: SessionId
  readonly generation: number
  readonly desired: Desired
  /** It is so. False while an apply is under way, or was cut short and will be asked for again. */
  readonly settled: boolean
  readonly phase: Phase
  readonly uid: number | null
  readonly home: string
  readonly accessToken: string
  /** By name of the port; a restart takes the same where they are free. */
  readonly ports: { readonly [name: string]: number }
  readonly run: Run | null
  /** How often the restart policy started it again, in all. */
  readonly restarts: number
  /** The same, since it was last healthy for long. */
  readonly retries: number
  readonly observed: WireObserved
}

export const writeRecord = (path: string, record: SessionRecord): Promise<void> =>
  writeWhole(path, `${JSON.stringify(record, null, 1)}\n`)

/** null: there is none. Throws on one that cannot be understood. */
export const readRecord = async (path: string): Promise<SessionRecord | null> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
    throw error
  })
  if (text === null) return null
  const record = JSON.parse(text) as Partial<SessionRecord>
  if (record.version !== 1 || typeof record.sessionId !== 'string' || typeof record.generation !== 'number')
    throw new Error(`${path} is not a session's record that this version understands`)
  return record as SessionRecord
}

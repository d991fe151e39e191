/** One look at all processes every so often, for all sessions: who has ended, who takes too much memory. */
import type { SessionId } from '../../domain/ids.ts'
import { messageOf } from '../runtime/log.ts'
import { connectedPorts } from './listeners.ts'
import { type Claim, type MarkOf, membersBySession } from './membership.ts'
import { boundOutput } from './output-log.ts'
import { keyOf, type ProcessRow, proportionalBytesOf, readProcessTable } from './process-table.ts'
import { type Life, type Surroundings, saveRun } from './session-life.ts'
import { rememberEnding } from './take-down.ts'
import { signalAll } from './terminate.ts'

const MIB = 1024 * 1024

export const claimOf = ({ record, workload }: Life): Claim => ({
  sessionId: record.sessionId,
  command: workload?.command() ?? null,
  uid: record.uid,
  seen: workload?.seen ?? new Set(),
})

export type Watch = { readonly stop: () => Promise<void> }

export const watchSessions = (
  around: Surroundings,
  lives: () => Iterable<Life>,
  markOf: MarkOf,
  /** Asked at every look; for what else has to be seen to now and then. */
  also: () => Promise<void>,
): Watch => {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let lastActivity = Date.now()

  const look = async (): Promise<void> => {
    const alive = [...lives()].filter(({ workload }) => workload !== null && !workload.hasEnded())
    if (alive.length > 0) {
      const rows = await readProcessTable()
      const members = membersBySession(rows, alive.map(claimOf), markOf, isAgent)
      for (const life of alive) await lookAt(around, life, rows, members.get(life.record.sessionId) ?? [])
      if (Date.now() - lastActivity >= around.settings.activityMs) {
        lastActivity = Date.now()
        await tellActivity(around, alive)
      }
    }
    await also()
  }

  let running: Promise<void> = Promise.resolve()
  const next = (): void => {
    timer = setTimeout(() => {
      running = look()
        .catch((error: unknown) => around.log.warn({ error: messageOf(error) }, 'the sessions could not be looked at'))
        .finally(() => {
          if (!stopped) next()
        })
    }, around.settings.pollMs)
  }
  next()

  return {
    stop: async () => {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}

export const isAgent = ({ pid }: ProcessRow): boolean => pid === process.pid

const lookAt = async (
  around: Surroundings,
  life: Life,
  rows: readonly ProcessRow[],
  members: readonly ProcessRow[],
): Promise<void> => {
  const { workload } = life
  if (workload === null) return
  workload.seen.clear()
  for (const row of members) workload.seen.add(keyOf(row))
  await workload.check(rows)
  if (workload.hasEnded()) return
  await limitMemory(around, life, members)
  try {
    if (await boundOutput(life.files, around.settings.outputLimitBytes)) await saveRun(life, { outputFrom: 0 })
  } catch (error) {
    around.log.warn({ sessionId: life.record.sessionId, error: messageOf(error) }, 'the output could not be bounded')
  }
}

/** Pages that several processes share count once, but counting them so costs: only when it may matter. */
const memoryOf = (members: readonly ProcessRow[], limitBytes: number): number => {
  const resident = members.reduce((sum, { rssBytes }) => sum + rssBytes, 0)
  if (resident <= limitBytes) return resident
  return members.reduce((sum, { pid, rssBytes }) => sum + Math.min(rssBytes, proportionalBytesOf(pid) ?? rssBytes), 0)
}

const limitMemory = async (around: Surroundings, life: Life, members: readonly ProcessRow[]): Promise<void> => {
  const { sessionId, desired, run } = life.record
  const limitMib = desired.spec.resources.memoryMib
  const used = memoryOf(members, limitMib * MIB)
  if (used <= limitMib * MIB || run?.ending !== null) return
  const message = `the session used ${Math.ceil(used / MIB)} MiB of memory, more than its ${limitMib} MiB, and was ended`
  around.log.warn({ sessionId, usedMib: Math.ceil(used / MIB), limitMib }, 'a session takes too much memory')
  await rememberEnding(life, 'out_of_memory', message).catch((error: unknown) =>
    around.log.warn({ sessionId, error: messageOf(error) }, 'why a session is ended could not be written down'),
  )
  signalAll(members, life.workload?.command() ?? null, 'SIGKILL')
}

const tellActivity = async (around: Surroundings, alive: readonly Life[]): Promise<void> => {
  const ready = alive.filter(({ record }) => record.run?.readyAt !== null && Object.keys(record.ports).length > 0)
  if (ready.length === 0) return
  const connected = await connectedPorts()
  const now = new Date()
  const active = (ports: readonly number[]): boolean => ports.some((port) => connected.has(port))
  for (const { record } of ready)
    if (active(Object.values(record.ports))) around.listener.activity(record.sessionId as SessionId, now)
}

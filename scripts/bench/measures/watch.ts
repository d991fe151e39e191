/** From the commit of an event to the moment in which its bytes are at a watcher. */
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.ts'
import { type CpuTimes, cpuTimes } from '../cpu-time.ts'
import { startInstallation } from '../installation.ts'
import type { Line, Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { residentMib } from '../processes.ts'
import { type Program, startProgram } from '../program.ts'
import type { WatchersOrder, WatchersState } from '../watch/watchers.ts'
import { commitsOfEvents, writeEvents } from '../watch/writer.ts'
import { doubtsOf } from './doubts.ts'

const WATCHERS = fileURLToPath(new URL('../watch/watchers.ts', import.meta.url))
const SESSIONS = 50
const ARRIVE_WITHIN_MS = 3_000

const startWatchers = async (
  bench: Bench,
): Promise<{ readonly pid: number; readonly order: (order: WatchersOrder) => Promise<WatchersState> }> => {
  const program: Program = await startProgram(bench, {
    what: 'the watchers',
    command: process.execPath,
    args: [WATCHERS],
    env: {},
    channel: true,
  })
  return { pid: program.pid, order: async (order) => (await program.ask(order)) as WatchersState }
}

const watching = (how: {
  readonly name: string
  readonly watchers: number
  readonly perSecond: number
  readonly seconds: number
  readonly p99Ms: number
  readonly memory: boolean
}): Measure => ({
  name: how.name,
  about: `from the commit of an event to ${how.watchers} watchers, at ${how.perSecond} events a second`,
  groups: ['watches'],
  run: async (bench) => {
    const { perSecond } = how
    const seconds = how.seconds * bench.scale
    const installation = await startInstallation(bench, { agents: 0, postgres: { track_commit_timestamp: 'on' } })
    const { database, server, url, key } = installation
    await installation.call('POST', '/agents', { id: 'silent', platform: 'process' })
    const sessionIds: string[] = []
    for (let n = 0; n < SESSIONS; n += 1)
      sessionIds.push(((await installation.call('POST', '/sessions', { template: 'bench' })) as { id: string }).id)
    const watchers = await startWatchers(bench)
    // One comes first, so that what is loaded and compiled for the first of them is none of theirs.
    await watchers.order({ kind: 'connect', url, key, count: 1 })
    await writeEvents(database, sessionIds, perSecond, 2)
    const before = await residentMib(server.pid)
    await watchers.order({ kind: 'connect', url, key, count: how.watchers - 1 })
    await wait(how.memory ? 10_000 : 1_000)
    const after = await residentMib(server.pid)
    const [{ last }] = (await database.query('SELECT max(id)::float8 AS last FROM session_events')) as [
      { last: number },
    ]
    const parts = { server: [server.pid], PostgreSQL: [database.pid], watchers: [watchers.pid] }
    const cpuBefore = cpuTimes(parts)
    const written = await writeEvents(database, sessionIds, perSecond, seconds)
    await wait(ARRIVE_WITHIN_MS)
    const cpuAfter = cpuTimes(parts)
    const during = await residentMib(server.pid)
    const { ids, at, connected, ended } = await watchers.order({ kind: 'tell' })
    const committed = await commitsOfEvents(database, last)
    const latencies: number[] = []
    for (const [index, id] of ids.entries()) {
      const commit = committed.get(id)
      if (commit !== undefined) latencies.push((at[index] ?? Number.NaN) - commit)
    }
    const latencyMs = distributionOf(Float64Array.from(latencies))
    const missing = written * how.watchers - latencies.length
    const what = `commit to ${how.watchers.toLocaleString('en')} watchers, ${perSecond.toLocaleString('en')} events/s`
    const lines: Line[] = [
      { what: `${what}, p50`, figure: latencyMs.p50, unit: 'ms', bar: null },
      { what: `${what}, p99`, figure: latencyMs.p99, unit: 'ms', bar: { atMost: how.p99Ms } },
    ]
    if (how.memory)
      lines.push({
        what: `memory of the server, each of ${how.watchers.toLocaleString('en')} watchers`,
        figure: ((Math.max(after, during) - before) * 1_024) / (how.watchers - 1),
        unit: 'KiB',
        bar: { atMost: 40 },
      })
    return {
      lines,
      details: { latencyMs, written, before, after, during, cpuMs: between(cpuBefore, cpuAfter) },
      postgres: database.settings,
      doubts: [
        ...doubtsOf(installation, []),
        ...(missing === 0 ? [] : [`${missing} of ${written * how.watchers} did not arrive, or twice`]),
        ...(connected === how.watchers && ended === 0 ? [] : [`${connected} watchers began, ${ended} were ended`]),
      ],
    }
  },
})

const between = (before: CpuTimes | null, after: CpuTimes | null): { readonly [part: string]: number } =>
  Object.fromEntries(Object.entries(after ?? {}).map(([part, ms]) => [part, ms - (before?.[part] ?? 0)]))

export const watchFew = watching({
  name: 'watch',
  watchers: 50,
  perSecond: 1_000,
  seconds: 20,
  p99Ms: 100,
  memory: false,
})

export const watchMany = watching({
  name: 'watch-many',
  watchers: 5_000,
  perSecond: 10,
  seconds: 20,
  p99Ms: 250,
  memory: true,
})

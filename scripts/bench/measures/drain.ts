/** A backlog of a hundred thousand commands, and one agent that comes to take them. */
import { setTimeout as wait } from 'node:timers/promises'
import type { AgentIdentity } from '../../simulate/agent.ts'
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import { cpuNote, cpuPer, cpuTimes } from '../cpu-time.ts'
import { startInstallation } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { residentMib } from '../processes.ts'
import { until } from '../program.ts'
import { doubtsOf } from './doubts.ts'

const BACKLOG = 100_000
/** To another agent before, so that the server's heap has the size that it has under such a load. */
const WARM_UP = 50_000
const LOOK_EVERY_MS = 500
const WITHIN_MS = 300_000

export const drain: Measure = {
  name: 'drain',
  about: `${BACKLOG} commands that waited, to one agent that connects: to the last row's fate, and the server's memory`,
  run: async (bench) => {
    const backlog = Math.round(BACKLOG * bench.scale)
    const installation = await startInstallation(bench, { agents: 0 })
    const { database, server } = installation
    const [first, second] = await enrolMany(database, 2)
    if (first === undefined || second === undefined) throw new Error('two agents were asked for')
    const comes = (agent: AgentIdentity) =>
      startFleets(bench, { urls: [installation.url], agents: [agent], perSecond: 1 })
    const isPending = async (agent: AgentIdentity): Promise<boolean> =>
      (
        await database.query(
          `SELECT EXISTS (SELECT FROM outbox WHERE status = 'pending' AND agent_id = '${agent.id}') AS is_pending`,
        )
      )[0].is_pending
    await waitingCreates(database, Math.round(WARM_UP * bench.scale), `'${first.id}'`)
    await waitingCreates(database, backlog, `'${second.id}'`)
    await comes(first)
    await until('the first backlog has gone', WITHIN_MS, async () => !(await isPending(first)))
    const before = await residentMib(server.pid)
    const cpuBefore = cpuTimes({ server: [server.pid], PostgreSQL: [database.pid] })
    const began = performance.now()
    const fleets = await comes(second)

    // Counting rows is work for the database: it is asked only once the agent has been sent everything.
    const isLeft = async (): Promise<boolean> =>
      (await fleets.order({ kind: 'tell' })).commands < backlog || (await isPending(second))
    const rss: number[] = []
    let firstAt: number | null = null
    for (; await isLeft(); await wait(LOOK_EVERY_MS)) {
      if (performance.now() - began > WITHIN_MS) throw new Error(`commands are left after ${WITHIN_MS} ms`)
      if ((await fleets.order({ kind: 'tell' })).commands > 0) firstAt ??= performance.now()
      rss.push(await residentMib(server.pid))
    }
    // Starting the fleet's process is none of it: from the first look that found something gone.
    const seconds = (performance.now() - LOOK_EVERY_MS - (firstAt ?? began)) / 1_000
    const cpu = cpuPer(cpuBefore, cpuTimes({ server: [server.pid], PostgreSQL: [database.pid] }), backlog)
    const { commands } = await fleets.order({ kind: 'tell' })
    const halves = [rss.slice(0, rss.length >> 1), rss.slice(rss.length >> 1)].map((half) => Math.max(before, ...half))
    return {
      lines: [
        {
          what: `backlog of ${backlog} to one agent`,
          figure: backlog / seconds,
          unit: '/s',
          bar: { atLeast: 3_000 },
          note: cpuNote(cpu),
        },
        {
          what: 'memory of the server meanwhile, above before',
          figure: Math.max(...rss) - before,
          unit: 'MiB',
          bar: null,
        },
        {
          what: 'of it, the second half above the first',
          figure: Math.max(0, (halves[1] ?? 0) - (halves[0] ?? 0)),
          unit: 'MiB',
          bar: { atMost: 32 },
        },
      ],
      details: { seconds, rss, before, cpu },
      postgres: database.settings,
      doubts: [
        ...doubtsOf(installation, []),
        ...(commands === backlog ? [] : [`${commands} frames arrived for ${backlog} commands`]),
      ],
    }
  },
}

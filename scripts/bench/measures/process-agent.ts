/** With the process agent, and so with real processes: from the commit of a create to that of `running`. */
import { join } from 'node:path'
import type { Bench } from '../bench.ts'
import { connected, type Installation, ROOT, startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { startProgram, until } from '../program.ts'
import { doubtsOf } from './doubts.ts'

const PER_SECOND = 5
const SECONDS = 20
const TEMPLATE = 'hello-web'

export const processAgent: Measure = {
  name: 'process-agent',
  about: `created to running with the process agent, ${TEMPLATE} at ${PER_SECOND}/s for ${SECONDS} s`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 0, postgres: { track_commit_timestamp: 'on' } })
    await startProcessAgent(bench, installation)
    const load = await startLoad(bench)
    const result = await load.run({
      ...installation.plan,
      method: 'POST',
      paths: ['/api/v1/sessions'],
      body: JSON.stringify({ template: TEMPLATE }),
      expect: 201,
      connections: 8,
      pace: { kind: 'open', perSecond: PER_SECOND },
      warmUpSeconds: 2,
      seconds: SECONDS,
    })
    const { database } = installation
    await until('an end to all starts', 60_000, async () => {
      const [open] = await database.query(`SELECT 1 FROM sessions WHERE status NOT IN ('running', 'failed') LIMIT 1`)
      return open === undefined
    })
    const rows = await database.query(MILLISECONDS, [result.beganAtMs])
    const latencyMs = distributionOf(rows.flatMap(({ ms }) => (ms === null ? [] : [ms])))
    const failed = rows.length - latencyMs.count
    await removeAll(installation)
    const what = `created to running, process agent at ${PER_SECOND}/s`
    return {
      lines: [
        { what: `${what}, p50`, figure: latencyMs.p50, unit: 'ms', bar: null },
        { what: `${what}, p99`, figure: latencyMs.p99, unit: 'ms', bar: null },
      ],
      details: { latencyMs, sessions: rows.length, failed },
      postgres: installation.database.settings,
      doubts: [
        ...doubtsOf(installation, [result]),
        ...(failed === 0 ? [] : [`${failed} sessions of ${rows.length} did not come to run`]),
      ],
    }
  },
}

const MILLISECONDS = `
SELECT (extract(epoch FROM pg_xact_commit_timestamp(running.xid::xid) - pg_xact_commit_timestamp(created.xid::xid))
        * 1000)::float8 AS ms
  FROM session_events created
  LEFT JOIN LATERAL (SELECT xid FROM session_events e
                      WHERE e.session_id = created.session_id AND e.type = 'running' ORDER BY e.id LIMIT 1) running ON true
 WHERE created.type = 'created'
   AND extract(epoch FROM pg_xact_commit_timestamp(created.xid::xid)) * 1000 >= $1`

/** In the way of `npm start`, which tells its agent over the channel between them that the sessions end too. */
const startProcessAgent = async (bench: Bench, { call, url, database }: Installation): Promise<void> => {
  const id = 'bench-process'
  const { token } = (await call('POST', '/agents', { id, platform: 'process' })) as { token: string }
  await startProgram(bench, {
    what: 'the process agent',
    command: process.execPath,
    args: [join(ROOT, 'src/cli.ts'), 'agent', 'process'],
    env: {
      STREAMSPACE_URL: url,
      STREAMSPACE_AGENT_ID: id,
      STREAMSPACE_AGENT_TOKEN: token,
      STREAMSPACE_DATA_DIR: join(bench.directory, 'process-agent'),
      STREAMSPACE_MAX_SESSIONS: '1000',
      STREAMSPACE_CPU_MILLIS: '1000000',
      STREAMSPACE_MEMORY_MIB: '1000000',
      LOG_LEVEL: 'warn',
    },
    channel: true,
    askToEnd: (child) => void child.send('suspend'),
  })
  await connected(database, 1)
}

const removeAll = async ({ call, database, delivered }: Installation): Promise<void> => {
  for (const { id } of await database.query('SELECT id FROM sessions WHERE deleted_at IS NULL'))
    await call('DELETE', `/sessions/${id}`)
  await delivered()
}

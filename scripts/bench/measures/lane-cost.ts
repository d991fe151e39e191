/**
 * What reading the outbox costs when a million commands wait for agents that are gone. Too many rows for a test; a
 * tenth of them is in test/adapters/postgres/outbox-cost.test.ts.
 */
import { AGENTS_WITH_DUE_COMMANDS, END_BACK_OFFS, GIVE_UP } from '../../../adapters/postgres/duties.ts'
import { DUE, MAX_UNACKED } from '../../../adapters/postgres/outbox.ts'
import { CALLED_BEFORE, explain, planned } from '../../../test/support/explain.ts'
import { manyCommands } from '../../../test/support/many-rows.ts'
import { enrolMany } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import { startInstallation } from '../installation.ts'
import type { Line, Measure } from '../measure.ts'

const WAITING = 1_000_000
const RESTING = 100_000
const DEAD = 100_000
const READ_AT_ONCE = 8
const MOST_BUFFERS = 50

export const laneCost: Measure = {
  name: 'lane-cost',
  about: `buffers that reading the outbox touches, with ${WAITING} rows waiting, ${RESTING} backing off, ${DEAD} dead`,
  run: async (bench) => {
    const { database } = await startInstallation(bench, { agents: 0, serverEnv: { LOG_LEVEL: 'error' } })
    const count = (rows: number): number => Math.round(rows * bench.scale)
    const ask = (text: string, ...values: unknown[]) => database.query(text, values)
    await ask('ALTER TABLE outbox SET (autovacuum_enabled = false)')
    const [alive] = await enrolMany(database, 1, 'alive')
    await ask(
      'UPDATE agent_leases SET replica_id = (SELECT id FROM replicas LIMIT 1), epoch = 1 WHERE agent_id = $1',
      alive?.id,
    )
    const someone = `CASE n % 300 WHEN 0 THEN '${alive?.id}' ELSE 'gone-' || n % 300 END`
    await manyCommands({ ask }, count(WAITING), { agent_id: `'gone-' || n % 300` })
    await manyCommands({ ask }, count(RESTING), { agent_id: someone, next_attempt_at: `now() + interval '1 hour'` })
    await manyCommands({ ask }, count(DEAD), { agent_id: someone, type: `'stop_session'` })
    await ask(`UPDATE outbox SET status = 'done', finished_at = now() WHERE type = 'stop_session'`)
    await waitingCreates(
      { query: (text, values) => database.query(text.replace(/^VACUUM /, ''), values) },
      2 * READ_AT_ONCE,
      `'${alive?.id}'`,
    )
    await ask('ANALYZE')

    const statements: { readonly [what: string]: readonly [string, readonly unknown[]] } = {
      'what is due for a lane': [DUE, [[alive?.id], [1], [], [READ_AT_ONCE], [0], [1], [0]]],
      'which agents have something due': [AGENTS_WITH_DUE_COMMANDS, [10_000]],
      'whose back-off is over': [END_BACK_OFFS, [500]],
      'what is given up': [GIVE_UP, [500, MAX_UNACKED]],
    }
    const lines: Line[] = []
    const details: Record<string, unknown> = {}
    for (const [what, [text, values]] of Object.entries(statements))
      for (const plan of ['custom', 'generic']) {
        const before = [planned(plan), CALLED_BEFORE]
        // The first look at a row that is dead since a moment ago marks it in the index: once a row, not once a read.
        const first = await explain(database.url, text, values, before)
        const { buffers, nodes, indexes } = await explain(database.url, text, values, before)
        lines.push({
          what: `${what}, ${plan} plan`,
          figure: buffers,
          unit: 'buffers',
          bar: { atMost: MOST_BUFFERS },
          ...(first.buffers > buffers ? { note: `the first time ${first.buffers}` } : {}),
        })
        details[`${what}, ${plan} plan`] = { buffers, first: first.buffers, nodes, indexes }
      }
    return { lines, details, postgres: database.settings, doubts: [] }
  },
}

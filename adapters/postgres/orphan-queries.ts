/** Reads of orphans for the API: each is one indexed query. */
import { type OrphanState, presentStates } from '../../domain/agent/orphan.ts'
import type { OrphanStore } from '../../domain/ports/orphans.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { beforeAll, type Order, orderOf } from './order.ts'
import { agentEventFromRow, orphanFromRow } from './orphan-rows.ts'
import { type Database, ownedBy, type Row } from './pool.ts'

const statement = (more: string, { beyond, direction }: Order): string => `
SELECT id, agent_id, session_id, generation, status, reason, state, first_seen_at, last_seen_at, approved_at,
       approved_by, command_id, removal_begun_at, ended_at
  FROM orphans
 WHERE agent_id = $1 AND org_id IS NOT DISTINCT FROM $2 AND state = ANY($3::text[]) AND id ${beyond} $4 ${more}
 ORDER BY id ${direction} LIMIT $5`

/** `org_id` too: an agent's id may have been another org's before. */
export const orphansIn = (order: Order): string => statement('', order)

/** Few are there among the many that have ended: an index has those alone, for who says so. */
export const presentOrphansIn = (order: Order): string => statement('AND ended_at IS NULL', order)

const arePresent = (states: readonly OrphanState[]): boolean =>
  states.every((state) => (presentStates as readonly OrphanState[]).includes(state))

export const createOrphanQueries = (database: Database, cursors: Cursors): Pick<OrphanStore, 'list' | 'events'> => ({
  list: async (agent, states, { limit, cursor, sort = '-firstSeenAt' }) => {
    const list = listOf('orphans', agent.orgId, { agent: agent.id, states, sort })
    const from = cursors.decode(list, cursor)
    const order = orderOf(sort)
    const { rows } = await ownedBy(database, agent.orgId).query({
      ...(arePresent(states)
        ? { name: `list_present_orphans ${order.direction}`, text: presentOrphansIn(order) }
        : { name: `list_orphans ${order.direction}`, text: orphansIn(order) }),
      values: [agent.id, agent.orgId, states, from?.[0] ?? beforeAll.bigint[order.direction], limit + 1],
    })
    return pageOf(rows, limit, orphanFromRow, (row: Row) => cursors.encode(list, [row.id]))
  },

  events: async ({ id, orgId }, { limit, cursor, sort = 'at' }) => {
    const list = listOf('agent events', orgId, { id, sort })
    const from = cursors.decode(list, cursor)
    const { beyond, direction } = orderOf(sort)
    const { rows } = await ownedBy(database, orgId).query({
      name: `agent_events ${direction}`,
      text: `SELECT e.id, e.agent_id, e.type, e.data, e.actor, e.at
               FROM agent_events e JOIN agents a ON a.id = e.agent_id
              WHERE e.agent_id = $1 AND a.org_id IS NOT DISTINCT FROM $4 AND e.id ${beyond} $2
              ORDER BY e.id ${direction} LIMIT $3`,
      values: [id, from?.[0] ?? beforeAll.bigint[direction], limit + 1, orgId],
    })
    return pageOf(rows, limit, agentEventFromRow, (row: Row) => cursors.encode(list, [row.id]))
  },
})

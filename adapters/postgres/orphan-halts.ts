/**
 * Whether orphans are removed at all: everywhere (the one row of `orphan_removal`), and of each org's own agents (its row of
 * `org_orphan_removal`). A shared agent is the installation's, and what it says of the database halts all. An org's own agent
 * is believed by nobody but that org: whoever holds its token could else keep all others' litter where it is.
 *
 * Locks: the installation's row before the orgs', these by id.
 */
import type {
  HaltedOrg,
  InstallationOrphanRemoval,
  OrgOrphanRemoval,
  OrphanRemoval,
} from '../../domain/agent/orphan.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import { type Guard, isMatch } from '../../domain/ports/if-match.ts'
import type { OrphanStore } from '../../domain/ports/orphans.ts'
import { type Database, ownedBy, type Queries, type Row } from './pool.ts'

const COLUMNS = 'halted_at, halted_by, halted_reason, resumed_at, resumed_by, revision'

/** Orgs that one answer names; all are counted. */
const NAMED = 100

const fromRow = (row: Row): OrphanRemoval => ({
  halted: row.halted_at !== null,
  haltedAt: row.halted_at,
  haltedBy: row.halted_by,
  haltedReason: row.halted_reason,
  resumedAt: row.resumed_at,
  resumedBy: row.resumed_by,
  revision: row.revision,
})

/** Told to the agents of every org: who or what has stopped it is the installation's to know. */
const HALTED_EVERYWHERE = 'no orphan is removed anywhere on this installation until its operator lets that go on'
const HALTED_IN_ORG = 'no orphan is removed from any own agent of this org until an operator lets that go on'

/** Why nothing may be removed from an agent of this org (null: a shared one). Whoever judges for the same agents waits from here on. */
export const haltedFor = async (query: Queries['query'], orgId: OrgId | null): Promise<string | null> => {
  const everywhere = await query(
    orgId === null
      ? { name: 'judge_orphans', text: 'SELECT halted_reason FROM orphan_removal FOR UPDATE' }
      : // What halts all waits for who judges, and no org for another.
        { name: 'judge_orphans_beside_orgs', text: 'SELECT halted_reason FROM orphan_removal FOR SHARE' },
  )
  if (orgId === null) return everywhere.rows[0].halted_reason === null ? null : HALTED_EVERYWHERE
  const inOrg = await query({
    name: 'judge_orphans_of_org',
    text: 'SELECT halted_reason FROM org_orphan_removal WHERE org_id = $1 FOR UPDATE',
    values: [orgId],
  })
  if (everywhere.rows[0].halted_reason !== null) return HALTED_EVERYWHERE
  return inOrg.rows[0].halted_reason === null ? null : HALTED_IN_ORG
}

/** An agent that was welcomed by a newer state of the database than this one. */
export type Older = { readonly agentId: AgentId; readonly lastEpoch: number; readonly epoch: number }
export type OlderFound = Older & { readonly orgId: OrgId | null }

const halting = (update: string): string => `
WITH halted AS (${update})
INSERT INTO agent_events (agent_id, type, data, actor)
VALUES ($1, 'orphan_removal_halted', jsonb_build_object('lastEpoch', $3::bigint, 'epoch', $4::bigint, 'orgId', $5::text), 'agent:' || $1)`

/** Also of what is halted already, which somebody may be about to let go on: this waits for them, and halts it anew. */
const HALTED =
  'halted_at = coalesce(halted_at, now()), halted_by = coalesce(halted_by, $1), halted_reason = coalesce(halted_reason, $2)'
const HALT_ALL = halting(`UPDATE orphan_removal SET ${HALTED}`)
const HALT_ORG = halting(`UPDATE org_orphan_removal SET ${HALTED} WHERE org_id = $5`)

/** Part of the transaction in which agents connect: from then on nothing is removed that they speak for. */
export const haltRemoval = async (query: Queries['query'], found: readonly Older[]): Promise<readonly OlderFound[]> => {
  if (found.length === 0) return []
  const { rows } = await query({
    name: 'orgs_of_agents',
    text: 'SELECT id, org_id FROM agents WHERE id = ANY($1::text[])',
    values: [found.map(({ agentId }) => agentId)],
  })
  const orgs = new Map(rows.map((row) => [row.id as AgentId, row.org_id as OrgId | null]))
  const inOrder = found
    .map((one): OlderFound => ({ ...one, orgId: orgs.get(one.agentId) ?? null }))
    .toSorted((a, b) => inLockOrder(a.orgId ?? '', b.orgId ?? ''))
  for (const { agentId, lastEpoch, epoch, orgId } of inOrder) {
    const where =
      orgId === null ? 'no orphan is removed anywhere' : `no orphan of own agents of org ${orgId} is removed`
    const reason = `the database is older than agent ${agentId}, as after a restore: ${where} until an operator approves`
    await query({
      ...(orgId === null
        ? { name: 'halt_orphan_removal', text: HALT_ALL }
        : { name: 'halt_orphan_removal_of_org', text: HALT_ORG }),
      values: [agentId, reason, lastEpoch, epoch, orgId],
    })
  }
  return inOrder
}

/** Two servers whose agents come back at once must not wait for each other: by code units, as COLLATE "C" has it for the ids of orgs. */
const inLockOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** $1 who, $2 revisions (null: whichever), $3 what `where` names. */
const resuming = (table: string, where: string): string => `
WITH was AS (
  SELECT halted_by FROM ${table} WHERE ${where} AND halted_at IS NOT NULL AND ($2::bigint[] IS NULL OR revision = ANY($2))
   FOR NO KEY UPDATE
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT a.id, 'orphan_removal_resumed', '{}', $1 FROM was JOIN agents a ON a.id = was.halted_by
)
UPDATE ${table}
   SET halted_at = NULL, halted_by = NULL, halted_reason = NULL,
       resumed_at = CASE WHEN halted_at IS NULL THEN resumed_at ELSE now() END,
       resumed_by = CASE WHEN halted_at IS NULL THEN resumed_by ELSE $1 END
 -- Makes PostgreSQL look at what was before it changes it.
 WHERE ${where} AND (SELECT count(*) FROM was) >= 0 AND ($2::bigint[] IS NULL OR revision = ANY($2))
RETURNING ${COLUMNS}`

const RESUME_ALL = resuming('orphan_removal', 'true')
const RESUME_ORG = resuming('org_orphan_removal', 'org_id = $3')

/** With the installation's: whoever lets it go on everywhere means everywhere. All of them, as each is told. */
const LOCK_HALTED_ORGS = `
SELECT r.org_id, r.halted_at, r.halted_by, r.halted_reason
  FROM org_orphan_removal r JOIN orgs o ON o.id = r.org_id AND o.deleted_at IS NULL
 WHERE r.halted_at IS NOT NULL
 ORDER BY r.org_id COLLATE "C" FOR NO KEY UPDATE OF r`

/** $1 as orgs are told, who learn no names of the installation's; $2 those that are locked. */
const RESUME_ORGS = `
WITH told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT a.id, 'orphan_removal_resumed', '{}', $1
    FROM org_orphan_removal r JOIN agents a ON a.id = r.halted_by WHERE r.org_id = ANY($2::text[])
)
UPDATE org_orphan_removal
   SET halted_at = NULL, halted_by = NULL, halted_reason = NULL, resumed_at = now(), resumed_by = $1
 WHERE org_id = ANY($2::text[])`

const halt = (table: string, where: string): string => `
UPDATE ${table}
   SET ${HALTED}
 WHERE ${where} AND ($3::bigint[] IS NULL OR revision = ANY($3))
RETURNING ${COLUMNS}`

/**
 * Raised by all that changes what the installation sees: a halt of an org, its end, and that an org is deleted while it has one. Never
 * falls, as rows stay.
 */
const REVISION = `
i.revision + (SELECT coalesce(sum(r.revision - 1 + (r.halted_at IS NOT NULL AND o.deleted_at IS NOT NULL)::int), 0)::bigint
                FROM org_orphan_removal r JOIN orgs o ON o.id = r.org_id)`

/** In one statement: the revision is that of what is shown with it. */
const REMOVAL = `
SELECT i.halted_at, i.halted_by, i.halted_reason, i.resumed_at, i.resumed_by, ${REVISION} AS revision,
       h.org_id, h.halted_at AS org_halted_at, h.halted_by AS org_halted_by, h.halted_reason AS org_halted_reason, h.n
  FROM orphan_removal i LEFT JOIN (
    SELECT r.org_id, r.halted_at, r.halted_by, r.halted_reason, count(*) OVER () AS n
      FROM org_orphan_removal r JOIN orgs o ON o.id = r.org_id AND o.deleted_at IS NULL
     WHERE r.halted_at IS NOT NULL
     ORDER BY r.halted_at, r.org_id LIMIT ${NAMED}
  ) h ON true
 ORDER BY h.halted_at, h.org_id`

const haltedOrgFrom = (row: Row): HaltedOrg => ({
  orgId: row.org_id,
  haltedAt: row.halted_at,
  haltedBy: row.halted_by,
  haltedReason: row.halted_reason,
})

const removal = async (query: Queries['query']): Promise<InstallationOrphanRemoval> => {
  const { rows } = await query({ name: 'orphan_removal', text: REMOVAL })
  const orgs = rows.flatMap(({ org_id, org_halted_at, org_halted_by, org_halted_reason }) =>
    org_id === null
      ? []
      : haltedOrgFrom({ org_id, halted_at: org_halted_at, halted_by: org_halted_by, halted_reason: org_halted_reason }),
  )
  return { ...fromRow(rows[0]), haltedOrgs: rows[0].n ?? 0, orgs }
}

/** Of two who have read the same, the second waits here. */
const lockAll = (query: Queries['query']) => query({ text: 'SELECT FROM orphan_removal FOR UPDATE' })

/** Asked when all is locked that is to be changed: whoever was let in before has been waited for, and is seen by this statement. */
const isAsRead = async (query: Queries['query'], guard: Guard): Promise<boolean> => {
  const { rows } = await query({ text: `SELECT ${REVISION} AS revision FROM orphan_removal i` })
  return isMatch(guard, rows[0].revision)
}

const ofOrg = (orgId: OrgId, row: Row | undefined): OrgOrphanRemoval | null =>
  row === undefined ? null : { orgId, ...fromRow(row) }

export const createOrphanHalts = (
  database: Database,
): Pick<OrphanStore, 'removal' | 'halt' | 'resume' | 'orgRemoval' | 'haltOrg' | 'resumeOrg'> => ({
  removal: () => removal(database.query),

  halt: (by, guard) =>
    database.transaction(async (query) => {
      await lockAll(query)
      if (!(await isAsRead(query, guard))) return null
      const reason = `${by} has stopped it: no orphan is removed anywhere until an operator approves`
      await query({ text: halt('orphan_removal', 'true'), values: [by, reason, null] })
      return removal(query)
    }),

  resume: (by, guard) =>
    database.transaction(async (query) => {
      await lockAll(query)
      const { rows: halted } = await query({ text: LOCK_HALTED_ORGS })
      if (!(await isAsRead(query, guard))) return null
      await query({ text: RESUME_ALL, values: [by, null] })
      // Those alone: whoever is halted from here on was seen by nobody yet.
      await query({ text: RESUME_ORGS, values: ['installation', halted.map(({ org_id }) => org_id)] })
      return { ...(await removal(query)), lifted: halted.map(haltedOrgFrom) }
    }),

  orgRemoval: async (orgId) => {
    const { rows } = await ownedBy(database, orgId).query({
      name: 'org_orphan_removal',
      text: `SELECT ${COLUMNS} FROM org_orphan_removal r
              WHERE org_id = $1 AND EXISTS (SELECT FROM orgs o WHERE o.id = r.org_id AND o.deleted_at IS NULL)`,
      values: [orgId],
    })
    return ofOrg(orgId, rows[0])
  },

  haltOrg: async (orgId, by, guard: Guard = null) => {
    const reason = `${by} has stopped it: no orphan of own agents of org ${orgId} is removed until an operator approves`
    const { rows } = await ownedBy(database, orgId).query({
      text: halt('org_orphan_removal', 'org_id = $4'),
      values: [by, reason, guard, orgId],
    })
    return ofOrg(orgId, rows[0])
  },

  resumeOrg: async (orgId, by, guard: Guard = null) => {
    const { rows } = await ownedBy(database, orgId).query({ text: RESUME_ORG, values: [by, guard, orgId] })
    return ofOrg(orgId, rows[0])
  },
})

/**
 * Quotas, and what orgs have of them. They are enforced, and what is counted is counted, by the statements that write
 * sessions (migration 011); here they are set and shown.
 */
import type { OrgId } from '../../domain/ids.ts'
import { MOST_SHOWN, type QuotaStore, type Usage } from '../../domain/ports/quotas.ts'
import { type Amounts, nothing } from '../../domain/quota/amounts.ts'
import { inOrder, limitsAnything, noQuota } from '../../domain/quota/quota.ts'
import type { Database, Queries, Row } from './pool.ts'

/** What is counted, as rows of `quota_usage`: of all, of each user, of each template. */
const COUNT_SESSIONS = `
SELECT org_id,
       CASE WHEN GROUPING(user_id) = 0 THEN 'user' WHEN GROUPING(template_name) = 0 THEN 'template' ELSE 'org' END AS scope,
       coalesce(user_id, template_name, '') AS name,
       count(*) AS sessions, count(*) FILTER (WHERE desired_state = 'running') AS running,
       coalesce(sum(cpu_millis) FILTER (WHERE desired_state = 'running'), 0) AS cpu_millis,
       coalesce(sum(memory_mib) FILTER (WHERE desired_state = 'running'), 0) AS memory_mib
  FROM sessions WHERE org_id = $1 AND deleted_at IS NULL AND desired_state <> 'deleted'
 GROUP BY GROUPING SETS ((org_id), (org_id, user_id), (org_id, template_name))`

const COUNTED = `
SELECT scope, name, sessions, running, cpu_millis, memory_mib FROM quota_usage WHERE org_id = $1`

/** The org's, and of users and templates those that were asked for, or that keep the most. */
const SHOWN = (counted: string): string => `
SELECT scope, name, sessions, running, cpu_millis, memory_mib
  FROM (SELECT c.*, row_number() OVER (PARTITION BY scope ORDER BY sessions DESC, name) AS rank FROM (${counted}) c
         WHERE CASE scope WHEN 'user' THEN $2::text[] IS NULL OR name = ANY($2)
                          WHEN 'template' THEN $3::text[] IS NULL OR name = ANY($3) ELSE true END) shown
 WHERE rank <= $4`

/** Not of nobody: whoever has nothing any more keeps a row. */
const COUNTED_USAGE = SHOWN(`${COUNTED} AND (scope = 'org' OR sessions > 0)`)
const FRESH_USAGE = SHOWN(COUNT_SESSIONS)

const COUNT_FROM_NOW_ON = `
INSERT INTO quota_usage (org_id, scope, name, sessions, running, cpu_millis, memory_mib)
SELECT org_id, scope, name, sessions, running, cpu_millis, memory_mib FROM (${COUNT_SESSIONS}) counted
 UNION ALL
SELECT $1, 'org', '', 0, 0, 0, 0
 WHERE NOT EXISTS (SELECT FROM sessions WHERE org_id = $1 AND deleted_at IS NULL AND desired_state <> 'deleted')`

export const createQuotaStore = (database: Database): QuotaStore => ({
  get: async (orgId) => {
    const { rows } = await database.of(orgId).query({
      name: 'get_quota',
      text: 'SELECT document, version FROM quotas WHERE org_id = $1',
      values: [orgId],
    })
    const [row] = rows
    return row === undefined ? { quota: noQuota, version: 0 } : { quota: inOrder(row.document), version: row.version }
  },

  set: (orgId, quota, versions) =>
    database.transaction(async (query) => {
      const current = await lockedVersion(query, orgId)
      if (versions !== null && !versions.includes(current)) return { kind: 'mismatch', current }
      await (limitsAnything(quota) ? count(query, orgId) : stopCounting(query, orgId))
      const { rows } = await query({
        text: `UPDATE quotas SET document = $2::jsonb, version = version + 1, updated_at = now() WHERE org_id = $1
               RETURNING version`,
        values: [orgId, JSON.stringify(quota)],
      })
      return { kind: 'set', version: rows[0].version }
    }),

  usage: async (orgId, { user = null, template = null }) => {
    const ask = async (text: string) =>
      (await database.of(orgId).query({ text, values: [orgId, user, template, MOST_SHOWN] })).rows
    const counted = await ask(COUNTED_USAGE)
    return usageOf(counted.length > 0 ? counted : await ask(FRESH_USAGE), user ?? [], template ?? [])
  },
})

/** From here on quotas of this org are set one after another. */
const lockedVersion = async (query: Queries['query'], orgId: OrgId): Promise<number> => {
  await query({
    text: 'INSERT INTO quotas (org_id, document, version) VALUES ($1, $2::jsonb, 0) ON CONFLICT DO NOTHING',
    values: [orgId, JSON.stringify(noQuota)],
  })
  const { rows } = await query({ text: 'SELECT version FROM quotas WHERE org_id = $1 FOR UPDATE', values: [orgId] })
  return rows[0].version
}

/**
 * Whoever writes sessions of this org without counting them has committed when the lock is granted, and whoever asks for it
 * after us finds what we have counted (`lock_quota_usage`).
 */
const count = async (query: Queries['query'], orgId: OrgId): Promise<void> => {
  const begun = await query({ text: `SELECT FROM quota_usage WHERE org_id = $1 AND scope = 'org'`, values: [orgId] })
  if (begun.rowCount > 0) return
  await query({ text: 'SELECT pg_advisory_xact_lock(730211, hashtext($1))', values: [orgId] })
  await query({ text: COUNT_FROM_NOW_ON, values: [orgId] })
}

/** Whoever counts holds the org's row, and looks again when it is gone. */
const stopCounting = async (query: Queries['query'], orgId: OrgId): Promise<void> => {
  await query({ text: `SELECT FROM quota_usage WHERE org_id = $1 AND scope = 'org' FOR UPDATE`, values: [orgId] })
  await query({ text: 'DELETE FROM quota_usage WHERE org_id = $1', values: [orgId] })
}

const amountsOf = ({ sessions, running, cpu_millis, memory_mib }: Row): Amounts => ({
  sessions: Number(sessions),
  running: Number(running),
  cpuMillis: Number(cpu_millis),
  memoryMib: Number(memory_mib),
})

const usageOf = (rows: readonly Row[], users: readonly string[], templates: readonly string[]): Usage => {
  const of = (scope: string, asked: readonly string[]): Usage['perUser'] =>
    Object.fromEntries([
      ...asked.map((name) => [name, nothing] as const),
      ...rows.filter((row) => row.scope === scope).map((row) => [row.name as string, amountsOf(row)] as const),
    ])
  const org = rows.find((row) => row.scope === 'org')
  return {
    ...(org === undefined ? nothing : amountsOf(org)),
    perUser: of('user', users),
    perTemplate: of('template', templates),
  }
}

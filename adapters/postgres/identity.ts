/**
 * As whom a statement runs. PostgreSQL shows each role, and a tenant within its role each org, other rows (migration 008): the
 * second lock, below the org that every statement names itself. A connection remembers what it was set to last, and is set anew only when that
 * changes; the change and the statement are sent together.
 */
import pg from 'pg'
import type { OrgId } from '../../domain/ids.ts'

/**
 * `system`: for nobody in particular. Several orgs: new sessions of several are written together, and nothing is read.
 * `login`: whoever the address names, past both locks; for tools and tests.
 */
export type Identity = 'login' | 'system' | OrgId | readonly OrgId[]

export const ROLES = { tenant: 'streamspace_tenant', system: 'streamspace_system' } as const
const ORG = 'streamspace.org'

type Settings = { readonly role: string; readonly org: string }

const settingsOf = (identity: Exclude<Identity, 'login'>): Settings =>
  identity === 'system'
    ? { role: ROLES.system, org: '' }
    : { role: ROLES.tenant, org: typeof identity === 'string' ? identity : [...new Set(identity)].toSorted().join(',') }

/** null: as it logged in. Equal texts are equal identities. */
export const becoming = (identity: Identity, lasting: 'connection' | 'transaction'): string | null => {
  if (identity === 'login') return null
  const { role, org } = settingsOf(identity)
  const isLocal = lasting === 'transaction'
  const set = (name: string, value: string): string => `set_config('${name}', ${pg.escapeLiteral(value)}, ${isLocal})`
  return `SELECT ${set('role', role)}, ${set(ORG, org)}`
}

import type { OrgId } from '../ids.ts'
import type { OrgSort, Page, PageRequest } from './page.ts'

export type Org = { readonly id: OrgId; readonly name: string; readonly createdAt: Date }

/** Nothing of an org changes but that it is deleted. */
export const ORG_REVISION = 1

/** Orgs are the installation's. */
export type OrgStore = {
  readonly list: (page: PageRequest<OrgSort>) => Promise<Page<Org>>
  readonly get: (id: OrgId) => Promise<Org | null>
  /** null: the id is taken, or was. */
  readonly add: (org: Pick<Org, 'id' | 'name'>) => Promise<Org | null>
  /**
   * Nobody acts in it from then on. Not while it has sessions or agents: then nothing changes, and it is said how many.
   * null: there is none.
   */
  readonly remove: (id: OrgId) => Promise<{ readonly sessions: number; readonly agents: number } | null>
}

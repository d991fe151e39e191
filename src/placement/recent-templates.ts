/**
 * Templates as they were a moment ago, for creating sessions: a burst of creates from one template reads it
 * once. What this replica changes is seen at once; a version that another replica made, within 200 ms. That
 * there is none is never remembered.
 */
import type { OrgId } from '../../domain/ids.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import type { Template } from '../../domain/template/template.ts'

const RECENT_MS = 200
const TEMPLATES_AT_MOST = 1_000

type Reading = { readonly template: Promise<Template | null>; readonly at: number }

export type RecentTemplates = TemplateStore & {
  /** Something of them was changed elsewhere. */
  readonly forget: () => void
}

export const createRecentTemplates = (store: TemplateStore, now = () => performance.now()): RecentTemplates => {
  const readings = new Map<string, Reading>()

  const read = (key: string, orgId: OrgId, name: string, version: number | null): Promise<Template | null> => {
    const reading: Reading = { template: store.find(orgId, name, version), at: now() }
    if (readings.size >= TEMPLATES_AT_MOST) readings.clear()
    readings.set(key, reading)
    const forget = (): void => {
      if (readings.get(key) === reading) readings.delete(key)
    }
    reading.template.then((template) => template === null && forget(), forget)
    return reading.template
  }

  const changing = async <A>(change: Promise<A>): Promise<A> => {
    try {
      return await change
    } finally {
      readings.clear()
    }
  }

  return {
    ...store,
    forget: () => readings.clear(),
    find: (orgId, name, version) => {
      const key = `${orgId}/${name}/${version ?? 'newest'}`
      const known = readings.get(key)
      return known !== undefined && now() - known.at < RECENT_MS ? known.template : read(key, orgId, name, version)
    },
    put: (...about) => changing(store.put(...about)),
    archive: (...about) => changing(store.archive(...about)),
  }
}

/** A template at one version. Versions are immutable: a session keeps the one it began with. */
import type { Resources } from '../agent/agent.ts'
import type { OrgId, TemplateId } from '../ids.ts'
import type { TemplateDocument } from './template-codec.ts'

export type Template = {
  readonly id: TemplateId
  /** null: public. */
  readonly orgId: OrgId | null
  readonly version: number
  readonly platforms: readonly string[]
  readonly document: TemplateDocument
  readonly createdAt: Date
  readonly archivedAt: Date | null
}

/** For templates that name no resources of their own. */
export const DEFAULT_RESOURCES: Resources = { cpuMillis: 500, memoryMib: 512 }

/** Template defaults under what the session asks. */
export const resourcesFor = (template: Template, asked: Partial<Resources>): Resources => ({
  ...DEFAULT_RESOURCES,
  ...template.document.resources,
  ...asked,
})

/** One spelling for equal contents: keys sorted at every depth, so that the same content makes no new version. */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )

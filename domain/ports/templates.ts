import type { OrgId } from '../ids.ts'
import type { Template } from '../template/template.ts'
import type { TemplateDocument } from '../template/template-codec.ts'
import type { Guard } from './if-match.ts'
import type { ByVersion, Page, PageRequest, TemplateSort } from './page.ts'

export type TemplateFilter = {
  readonly category?: readonly string[]
  readonly platform?: readonly string[]
  readonly tag?: readonly string[]
  readonly q?: string
}

export type PutTemplate = { readonly template: Template; readonly created: boolean }

/** An org sees its own templates and the public ones; its own come first where names are equal. */
export type TemplateStore = {
  /** The newest version unless one is named. An archived template is found by version only. */
  readonly find: (orgId: OrgId, name: string, version: number | null) => Promise<Template | null>
  /** The newest version of the org's own (or, null, of the public one); null: there is none, or it is archived. */
  readonly newest: (orgId: OrgId | null, name: string) => Promise<Template | null>
  readonly list: (orgId: OrgId, filter: TemplateFilter, page: PageRequest<TemplateSort>) => Promise<Page<Template>>
  readonly versions: (orgId: OrgId, name: string, page: PageRequest<ByVersion>) => Promise<Page<Template> | null>
  /** A new version, or the newest one again when its content is the same. `orgId` null: public. null: its newest version is another. */
  readonly put: (orgId: OrgId | null, document: TemplateDocument, guard?: Guard) => Promise<PutTemplate | null>
  /** Whether every version there is was archived. */
  readonly isArchived: (orgId: OrgId | null, name: string) => Promise<boolean>
  /** All versions of the org's own (or, null, the public) template. False: there is none, or its newest version is another. */
  readonly archive: (orgId: OrgId | null, name: string, guard?: Guard) => Promise<boolean>
}

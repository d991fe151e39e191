import type * as t from 'io-ts'
import * as c from '../../domain/codec/codec.ts'
import { E } from '../../domain/fp.ts'
import type { OrgId } from '../../domain/ids.ts'
import { templateSorts } from '../../domain/ports/page.ts'
import type { Template as TemplateVersion } from '../../domain/template/template.ts'
import { type TemplateDocument, templateDocumentCodec } from '../../domain/template/template-codec.ts'
import { orgId, time } from './fields.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting, text } from './query.ts'

const documentProperties = templateDocumentCodec.schema.properties as { readonly [name: string]: c.JsonSchema }

/** Decodes any object, so that a client reads what a newer server knows; documented as the server decodes it. */
const shownAs = (field: string): c.Codec<{ readonly [key: string]: unknown }> =>
  c.described(c.anyObject, documentProperties[field] ?? {})

const parameterSchema = documentProperties.parameters?.items as c.JsonSchema | undefined

/** A template document at one version. */
export const templateCodec = c.openObject(
  {
    name: c.string(),
    version: c.integer(),
    orgId: c.described(c.nullable(c.string()), 'null: public'),
    displayName: c.string(),
    platforms: c.array(c.string()),
    spec: shownAs('spec'),
    createdAt: time,
    archivedAt: c.nullable(time),
  },
  {
    description: c.string(),
    category: c.string(),
    icon: c.string(),
    tags: c.array(c.string()),
    parameters: c.array(c.described(c.anyObject, parameterSchema ?? {})),
    resources: c.openObject({}, { cpuMillis: c.integer(), memoryMib: c.integer() }),
    placement: shownAs('placement'),
  },
)
export type Template = c.TypeOf<typeof templateCodec>

export const templatePageCodec = pageOf(templateCodec)

/** What the server sends: the document's fields, and where this version stands. */
export const templateRepresentation = (template: TemplateVersion) => ({
  ...template.document,
  version: template.version,
  orgId: template.orgId,
  platforms: template.platforms,
  createdAt: template.createdAt,
  archivedAt: template.archivedAt,
})

export type PutTemplate = {
  readonly document: TemplateDocument
  /** undefined: the caller's own org; null: public. */
  readonly orgId: OrgId | null | undefined
}

/** What a client sends: the document, and whose it is to be. */
export type PutTemplateRequest = TemplateDocument & { readonly orgId?: string | null }

const owner = c.openObject({}, { orgId: c.nullable(orgId) })

/** `POST /templates`: a document, with `orgId` beside its fields. */
export const putTemplateCodec: c.Codec<PutTemplate> = c.codec<PutTemplate>(
  'PutTemplate',
  {
    ...templateDocumentCodec.schema,
    properties: {
      ...documentProperties,
      orgId: { ...c.nullable(orgId).schema, description: 'left out: your own; null: public (installation keys only)' },
    },
  },
  (input, context) => {
    const [body, rest] = withoutOwner(input)
    const document = templateDocumentCodec.validate(rest, context)
    const whose = body === null ? E.right({}) : owner.validate(body, context)
    const errors: t.ValidationError[] = [
      ...(E.isLeft(document) ? document.left : []),
      ...(E.isLeft(whose) ? whose.left : []),
    ]
    return E.isRight(document) && E.isRight(whose)
      ? E.right({ document: document.right, orgId: (whose.right as { orgId?: OrgId | null }).orgId })
      : E.left(errors)
  },
)

const withoutOwner = (input: unknown): readonly [body: object | null, document: unknown] => {
  if (typeof input !== 'object' || input === null || Array.isArray(input) || !Object.hasOwn(input, 'orgId'))
    return [null, input]
  const { orgId: _orgId, ...document } = input as { orgId: unknown }
  return [input, document]
}

export const listTemplatesQuery = query({
  category: commaList(text(100)),
  platform: commaList(text(63)),
  tag: commaList(text(64)),
  q: text(100, 'part of the name or of the display name, in any case'),
  ...sorting(templateSorts),
  ...paging,
})

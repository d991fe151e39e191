import { pipe, TE } from '../../domain/fp.ts'
import type { Page } from '../../domain/ports/page.ts'
import type { Template } from '../../domain/template/template.ts'
import { pageRequest } from '../../src/api/query.ts'
import { templateRepresentation } from '../../src/api/template.ts'
import type { templateRoutes } from '../../src/api/template-routes.ts'
import type { Application, PutTemplate } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { noContent, ok } from './replies.ts'

const one = (template: Template): Reply => ({
  status: 200,
  body: templateRepresentation(template),
  etag: template.version,
})

const page = ({ items, nextCursor }: Page<Template>): Reply =>
  ok({ items: items.map(templateRepresentation), nextCursor })

const put = ({ template, created }: PutTemplate): Reply => ({
  ...one(template),
  status: created ? 201 : 200,
  location: `/api/v1/templates/${template.document.name}`,
})

export const templateHandlers = ({ templates }: Application): Handlers<keyof typeof templateRoutes> => ({
  listTemplates: ({ caller, query: { limit, cursor, sort, ...filter } }) =>
    pipe(templates.list(caller, filter, pageRequest(limit, cursor, sort)), TE.map(page)),
  putTemplate: ({ caller, body, ifMatch, keeping }) =>
    pipe(templates.put(caller, body.document, body.orgId, ifMatch, keeping(put)), TE.map(put)),
  getTemplate: ({ caller, params }) => pipe(templates.get(caller, params.name), TE.map(one)),
  archiveTemplate: ({ caller, params, ifMatch, keeping }) =>
    pipe(templates.archive(caller, params.name, ifMatch, keeping(noContent)), TE.map(noContent)),
  listTemplateVersions: ({ caller, params, query }) =>
    pipe(templates.versions(caller, params.name, pageRequest(query.limit, query.cursor, query.sort)), TE.map(page)),
})

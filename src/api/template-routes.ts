import { byVersion } from '../../domain/ports/page.ts'
import { templateName } from './fields.ts'
import { pagesQuery } from './page.ts'
import { changing, noQuery, type Route, reading } from './route.ts'
import { listTemplatesQuery, putTemplateCodec, templateCodec, templatePageCodec } from './template.ts'

const ofTemplate = { params: { name: templateName } } as const

export const templateRoutes = {
  listTemplates: {
    ...reading,
    path: '/api/v1/templates',
    tag: 'Templates',
    summary: 'List templates, each at its newest version',
    access: 'caller',
    params: {},
    query: listTemplatesQuery,
    answers: { 200: { description: 'A page of templates', codec: templatePageCodec } },
  },
  putTemplate: {
    method: 'post',
    path: '/api/v1/templates',
    tag: 'Templates',
    summary: 'Create a template, or a new version of it',
    description: 'The same content as the newest version makes no new one. Sessions keep the version they began with.',
    access: 'operate',
    params: {},
    query: noQuery,
    body: putTemplateCodec,
    condition: 'change',
    answers: {
      200: { description: 'Nothing changed: the newest version', codec: templateCodec, headers: ['Location', 'ETag'] },
      201: { description: 'A new version', codec: templateCodec, headers: ['Location', 'ETag'] },
    },
    problems: ['invalid_parameters'],
  },
  getTemplate: {
    ...reading,
    ...ofTemplate,
    path: '/api/v1/templates/{name}',
    tag: 'Templates',
    summary: "Get a template's newest version",
    access: 'caller',
    answers: { 200: { description: 'The template', codec: templateCodec } },
  },
  archiveTemplate: {
    ...changing,
    ...ofTemplate,
    method: 'delete',
    path: '/api/v1/templates/{name}',
    tag: 'Templates',
    summary: 'Archive a template',
    description: 'No session can be created from it any more; those that were keep their version.',
    access: 'operate',
    answers: { 204: { description: 'Archived', codec: null } },
  },
  listTemplateVersions: {
    ...reading,
    ...ofTemplate,
    path: '/api/v1/templates/{name}/versions',
    tag: 'Templates',
    summary: "A template's versions, newest first",
    access: 'caller',
    query: pagesQuery(byVersion),
    answers: { 200: { description: 'A page of versions', codec: templatePageCodec } },
  },
} as const satisfies { readonly [operationId: string]: Route }

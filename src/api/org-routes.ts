import { orgSorts } from '../../domain/ports/page.ts'
import { orgId } from './fields.ts'
import { createOrgCodec, orgCodec, orgPageCodec } from './org.ts'
import { pagesQuery } from './page.ts'
import { changing, noQuery, type Route, reading } from './route.ts'

const aboutOrgs = { tag: 'Orgs', access: 'administer_installation' } as const

export const orgRoutes = {
  listOrgs: {
    ...reading,
    ...aboutOrgs,
    path: '/api/v1/orgs',
    summary: 'List orgs, by id',
    params: {},
    query: pagesQuery(orgSorts),
    answers: { 200: { description: 'A page of orgs', codec: orgPageCodec } },
  },
  createOrg: {
    ...aboutOrgs,
    method: 'post',
    path: '/api/v1/orgs',
    summary: 'Make an org',
    description: 'What is done in it takes an API key of its own, or the installation’s with `Streamspace-Org`.',
    params: {},
    query: noQuery,
    body: createOrgCodec,
    condition: null,
    answers: { 201: { description: 'Made', codec: orgCodec, headers: ['Location', 'ETag'] } },
    problems: ['org_exists'],
  },
  getOrg: {
    ...reading,
    ...aboutOrgs,
    path: '/api/v1/orgs/{id}',
    summary: 'Get an org',
    description: 'An org’s admin may read its own.',
    access: 'administer',
    params: { id: orgId },
    answers: { 200: { description: 'The org', codec: orgCodec } },
  },
  deleteOrg: {
    ...changing,
    ...aboutOrgs,
    method: 'delete',
    path: '/api/v1/orgs/{id}',
    summary: 'Delete an org',
    description: 'Its keys end. Not while it has sessions or agents. Its id is never given again.',
    params: { id: orgId },
    answers: { 204: { description: 'Deleted', codec: null } },
    problems: ['org_in_use'],
  },
} as const satisfies { readonly [operationId: string]: Route }

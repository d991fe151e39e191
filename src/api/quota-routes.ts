import { orgId, templateName, userId } from './fields.ts'
import { commaList, query } from './query.ts'
import { quotaCodec, setQuotaCodec, usageCodec } from './quota.ts'
import { noQuery, nothingSent, type Route } from './route.ts'

const aboutQuotas = { tag: 'Orgs', params: { id: orgId } } as const

export const quotaRoutes = {
  getQuota: {
    ...nothingSent,
    ...aboutQuotas,
    method: 'get',
    path: '/api/v1/orgs/{id}/quota',
    summary: 'Get the quota of an org',
    description: 'An org’s admin may read its own. An org that was never given one has no limits.',
    access: 'administer',
    condition: 'read',
    answers: { 200: { description: 'The quota', codec: quotaCodec, headers: ['ETag'] } },
  },
  setQuota: {
    ...aboutQuotas,
    method: 'put',
    path: '/api/v1/orgs/{id}/quota',
    summary: 'Set the quota of an org',
    description:
      'All of it: what is left out has no limit. It holds for what is asked from then on; an org that has more already keeps it, and gets no more.',
    access: 'administer_installation',
    query: noQuery,
    body: setQuotaCodec,
    takes: 'long',
    condition: 'change',
    answers: { 200: { description: 'Set', codec: quotaCodec, headers: ['ETag'] } },
    problems: [],
  },
  getUsage: {
    ...nothingSent,
    ...aboutQuotas,
    method: 'get',
    path: '/api/v1/orgs/{id}/usage',
    summary: 'What an org has of what its quota limits',
    description: 'An org’s admin may read its own.',
    access: 'administer',
    query: query({ user: commaList(userId), template: commaList(templateName) }),
    condition: 'read',
    answers: { 200: { description: 'Sessions, and what they take', codec: usageCodec, headers: ['ETag'] } },
  },
} as const satisfies { readonly [operationId: string]: Route }

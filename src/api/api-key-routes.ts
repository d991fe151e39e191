import { byCreation } from '../../domain/ports/page.ts'
import { apiKeyCodec, apiKeyPageCodec, apiKeyWithSecretCodec, createApiKeyCodec, rotateApiKeyCodec } from './api-key.ts'
import { apiKeyId } from './fields.ts'
import { pagesQuery } from './page.ts'
import { changing, noQuery, type Route, reading } from './route.ts'

const aboutKeys = { tag: 'API keys', access: 'administer' } as const

export const apiKeyRoutes = {
  listApiKeys: {
    ...reading,
    ...aboutKeys,
    path: '/api/v1/api-keys',
    summary: 'List the API keys of the org, newest first',
    params: {},
    query: pagesQuery(byCreation),
    answers: { 200: { description: 'A page of keys', codec: apiKeyPageCodec } },
  },
  createApiKey: {
    ...aboutKeys,
    method: 'post',
    path: '/api/v1/api-keys',
    summary: 'Make an API key',
    description: 'The key in the answer is shown this once. Nobody makes one that may do more than their own.',
    params: {},
    query: noQuery,
    body: createApiKeyCodec,
    condition: null,
    answers: { 201: { description: 'Made', codec: apiKeyWithSecretCodec, headers: ['Location', 'ETag'] } },
    problems: ['invalid_parameters'],
  },
  getApiKey: {
    ...reading,
    ...aboutKeys,
    path: '/api/v1/api-keys/{id}',
    summary: 'Get an API key, without the key itself',
    params: { id: apiKeyId },
    answers: { 200: { description: 'The key', codec: apiKeyCodec } },
  },
  rotateApiKey: {
    ...aboutKeys,
    method: 'post',
    path: '/api/v1/api-keys/{id}/rotate',
    summary: 'Replace an API key by a new one',
    description: 'The new one has an id of its own, and all else of the old one, which works on for `overlapSeconds`.',
    params: { id: apiKeyId },
    query: noQuery,
    body: rotateApiKeyCodec,
    bodyOptional: true,
    condition: 'change',
    answers: {
      201: {
        description: 'The new key, shown this once',
        codec: apiKeyWithSecretCodec,
        headers: ['Location', 'ETag'],
      },
    },
    problems: ['api_key_over'],
  },
  revokeApiKey: {
    ...changing,
    ...aboutKeys,
    method: 'delete',
    path: '/api/v1/api-keys/{id}',
    summary: 'Revoke an API key',
    description: 'Nobody acts with it any more; within seconds on all servers.',
    params: { id: apiKeyId },
    answers: { 204: { description: 'Revoked', codec: null } },
  },
} as const satisfies { readonly [operationId: string]: Route }

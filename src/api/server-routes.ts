import * as c from '../../domain/codec/codec.ts'
import { healthCodec, readinessCodec } from './health.ts'
import { nothingSent, type Route } from './route.ts'

/** Paths about the server itself, which need no key. */
export const serverRoutes = {
  getHealth: {
    ...nothingSent,
    method: 'get',
    path: '/healthz',
    tag: 'Server',
    summary: 'Whether the process lives',
    description: 'Also without a database.',
    access: 'anyone',
    params: {},
    answers: { 200: { description: 'It lives', codec: healthCodec } },
  },
  getReadiness: {
    ...nothingSent,
    method: 'get',
    path: '/readyz',
    tag: 'Server',
    summary: 'Whether it can serve: database and schema',
    access: 'anyone',
    params: {},
    answers: { 200: { description: 'It can', codec: readinessCodec } },
    problems: ['not_ready'],
  },
  getMetrics: {
    ...nothingSent,
    method: 'get',
    path: '/metrics',
    tag: 'Server',
    summary: 'What the server measures of itself, for Prometheus',
    access: 'anyone',
    params: {},
    answers: {
      200: {
        description: 'Metrics',
        codec: c.described(c.string(), {
          examples: ['# TYPE streamspace_watchers gauge\nstreamspace_watchers 3\n'],
        }),
        mediaType: 'text/plain',
      },
    },
  },
  getOpenApi: {
    ...nothingSent,
    method: 'get',
    path: '/openapi.json',
    tag: 'Server',
    summary: 'This document',
    access: 'anyone',
    params: {},
    condition: 'read',
    answers: { 200: { description: 'OpenAPI 3.1', codec: c.anyObject, headers: ['ETag'] } },
  },
} as const satisfies { readonly [operationId: string]: Route }

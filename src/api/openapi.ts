/** The OpenAPI 3.1 document, written from the route table and the schemas that its codecs carry. */
import type { JsonSchema } from '../../domain/codec/codec.ts'
import { named, nameOf, referenced } from './openapi-schemas.ts'
import { PROBLEM_MEDIA_TYPE, type ProblemCode, problems } from './problem.ts'
import { problemExamples } from './problem-examples.ts'
import type { Answer, ResponseHeader, Route } from './route.ts'
import { routes } from './routes.ts'
import { sampleOf } from './sample.ts'

/** Whether Idempotency-Key is honoured. */
const repeats = (route: Route): boolean => route.method !== 'get' && route.access !== 'anyone'

/** Every problem that an operation can answer with. */
export const problemsOf = (route: Route): readonly ProblemCode[] => {
  const codes: ProblemCode[] = [...route.problems, 'invalid_request', 'internal_error']
  if (route.access !== 'anyone')
    codes.push(
      'unauthorized',
      'forbidden',
      'not_found',
      'rate_limited',
      'unavailable',
      'provider_unavailable',
      'overloaded',
    )
  if (route.method !== 'get')
    codes.push('malformed_json', 'body_too_large', 'unsupported_media_type', 'precondition_failed')
  if (repeats(route)) codes.push('contended', 'idempotency_mismatch', 'idempotency_in_progress')
  return [...new Set(codes)]
}

const headers: { readonly [H in ResponseHeader]: JsonSchema } = {
  Location: { description: 'Where it is', required: true, schema: { type: 'string' } },
  ETag: { description: 'For If-Match and If-None-Match', required: true, schema: { type: 'string' } },
}

const headersOf = (route: Route, answer: Answer): readonly ResponseHeader[] => [
  ...(answer.headers ?? []),
  ...(route.condition === 'read' && answer.headers?.includes('ETag') !== true ? (['ETag'] as const) : []),
]

const reference = (kind: string, name: string): JsonSchema => ({ $ref: `#/components/${kind}/${name}` })

/** On every answer; how much of a limit is left, where one is set and a key is needed. */
const always = (route: Route): JsonSchema => ({
  'X-Request-Id': reference('headers', 'RequestId'),
  ...(route.access === 'anyone'
    ? {}
    : {
        RateLimit: reference('headers', 'RateLimitWhile'),
        'RateLimit-Policy': reference('headers', 'RateLimitPolicyWhile'),
      }),
})

const response = (route: Route, answer: Answer): JsonSchema => ({
  description: answer.description,
  headers: {
    ...always(route),
    ...Object.fromEntries(headersOf(route, answer).map((header) => [header, headers[header]])),
    ...(repeats(route) ? { 'Idempotency-Replayed': reference('headers', 'IdempotencyReplayed') } : {}),
  },
  ...(answer.codec === null ? {} : { content: contentOf(answer.codec.schema, answer.mediaType) }),
  ...(answer.streams === undefined
    ? {}
    : {
        content: Object.fromEntries(
          answer.streams.map((type) => [type, { schema: { type: 'string' }, example: 'one line an event' }]),
        ),
      }),
})

const contentOf = (schema: JsonSchema, mediaType = 'application/json'): JsonSchema => {
  const name = nameOf.get(schema)
  return {
    [mediaType]: {
      schema: referenced(schema),
      ...(name === undefined ? { example: sampleOf(schema) } : { examples: { [name]: reference('examples', name) } }),
    },
  }
}

/** What a refusal of this status has beside its body. */
const headersOfRefusal: { readonly [status: string]: JsonSchema } = {
  401: { 'WWW-Authenticate': reference('headers', 'WwwAuthenticate') },
  429: {
    'Retry-After': reference('headers', 'RetryAfter'),
    RateLimit: reference('headers', 'RateLimit'),
    'RateLimit-Policy': reference('headers', 'RateLimitPolicy'),
  },
  503: { 'Retry-After': reference('headers', 'RetryAfter') },
}

const problemResponses = (route: Route): JsonSchema => {
  const byStatus = Map.groupBy(problemsOf(route), (code) => problems[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `\`${code}\`: ${problems[code].title}`).join('; '),
        headers: {
          ...always(route),
          ...headersOfRefusal[status],
          ...(codes.includes('idempotency_in_progress')
            ? { 'Retry-After': reference('headers', 'RetryAfterWhile') }
            : {}),
        },
        content: {
          [PROBLEM_MEDIA_TYPE]: {
            schema: reference('schemas', 'Problem'),
            examples: Object.fromEntries(codes.map((code) => [code, reference('examples', code)])),
          },
        },
      },
    ]),
  )
}

const inQuery = (name: string, schema: JsonSchema): JsonSchema => ({
  name,
  in: 'query',
  required: false,
  // Lists are written with commas; a list that may also be given several times is written that way.
  ...(schema.type === 'array' ? { style: 'form', explode: schema['x-repeatable'] === true } : {}),
  schema: referenced(schema),
  example: sampleOf(schema, name),
})

const parametersOf = (route: Route): readonly JsonSchema[] => [
  ...Object.entries(route.params).map(([name, codec]) => ({
    name,
    in: 'path',
    required: true,
    schema: referenced(codec.schema),
    example: sampleOf(codec.schema, route.tag === 'Templates' && name === 'name' ? 'template' : name),
  })),
  ...Object.entries(route.query.schema.properties as { [name: string]: JsonSchema }).map(([name, schema]) =>
    inQuery(name, schema),
  ),
  ...(route.condition === 'change' ? [{ $ref: '#/components/parameters/IfMatch' }] : []),
  ...(route.condition === 'read' ? [{ $ref: '#/components/parameters/IfNoneMatch' }] : []),
  ...(repeats(route) ? [{ $ref: '#/components/parameters/IdempotencyKey' }] : []),
  ...(route.resumes === true ? [{ $ref: '#/components/parameters/LastEventId' }] : []),
  ...(route.access === 'anyone' ? [] : [{ $ref: '#/components/parameters/Org' }]),
  { $ref: '#/components/parameters/RequestId' },
]

const whoMay: { readonly [A in Route['access']]: string } = {
  anyone: 'Needs no key.',
  caller: 'Any role; answers what the caller may see.',
  read_org: 'Needs any role but `user`.',
  change_sessions: 'Needs the role `user` or above; a `user` reaches only its own sessions.',
  operate: 'Needs the role `operator` or above.',
  administer: 'Needs the role `admin` or above.',
  administer_installation: 'Needs an installation key.',
}

const operation = (operationId: string, route: Route): JsonSchema => ({
  operationId,
  tags: [route.tag],
  summary: route.summary,
  description: [route.description, whoMay[route.access]].filter((text) => text !== undefined).join('\n\n'),
  security: route.access === 'anyone' ? [] : [{ bearer: [] }],
  parameters: parametersOf(route),
  ...(route.body === null
    ? {}
    : {
        requestBody: {
          required: route.bodyOptional !== true,
          content: contentOf(route.body.schema),
        },
      }),
  responses: {
    ...Object.fromEntries(Object.entries(route.answers).map(([status, answer]) => [status, response(route, answer)])),
    ...(route.condition === 'read' ? { '304': notModified(route) } : {}),
    ...problemResponses(route),
  },
})

const notModified = (route: Route): JsonSchema => ({
  description: 'As you have it: If-None-Match matches',
  headers: { ...always(route), ETag: headers.ETag },
})

const paths = (): JsonSchema => {
  const byPath = Map.groupBy(Object.entries(routes) as [string, Route][], ([, route]) => route.path)
  return Object.fromEntries(
    [...byPath].map(([path, those]) => [
      path,
      Object.fromEntries(those.map(([operationId, route]) => [route.method, operation(operationId, route)])),
    ]),
  )
}

const description = `Interactive sessions on any platform.

Every error is \`${PROBLEM_MEDIA_TYPE}\` (RFC 9457) with a stable \`code\`, the \`requestId\` that the log has too, and every
failing field in \`errors\`. Unknown fields and query parameters are refused by name. Bodies are JSON of at most 1 MiB.

Lists come in pages: \`limit\` (1–500, default 50) and \`cursor\`, the \`nextCursor\` of the page before.

The ETag of a session is \`"<version>-<hash>"\`: If-Match compares the version, which intents and changes raise and
reports of agents do not; If-None-Match compares the whole.`

const header = (name: string, description_: string): JsonSchema => ({
  name,
  in: 'header',
  required: false,
  description: description_,
  schema: { type: 'string' },
})

/** `version` is the program's. */
export const openApiDocument = (version: string): JsonSchema => ({
  openapi: '3.1.0',
  info: { title: 'StreamSpace', version, description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
  servers: [{ url: '/', description: 'where this document comes from' }],
  tags: [...new Set(Object.values(routes as { readonly [id: string]: Route }).map(({ tag }) => tag))].map((name) => ({
    name,
  })),
  security: [{ bearer: [] }],
  paths: paths(),
  components: {
    securitySchemes: {
      bearer: {
        type: 'http',
        scheme: 'bearer',
        description: 'An API key (`ssk_` and letters and digits), or a JWT of an issuer that the server trusts.',
      },
    },
    parameters: {
      IdempotencyKey: header(
        'Idempotency-Key',
        '1–255 printable characters. Within 24 h the same key with the same request is answered as the first time, and does nothing again.',
      ),
      IfMatch: header('If-Match', 'Act only on this version: an ETag, several, or `*`. Otherwise 412.'),
      IfNoneMatch: header('If-None-Match', 'Answer 304 when the ETag is still this.'),
      LastEventId: header('Last-Event-ID', 'The `id` of the last event that arrived: what came after it comes first.'),
      Org: header('Streamspace-Org', 'Act in this org: installation keys any, others only their own.'),
      RequestId: header('X-Request-Id', 'At most 128 printable characters; made by the server when left out.'),
    },
    headers: {
      IdempotencyReplayed: {
        description: '`true`: the first answer to this request, again',
        schema: { enum: ['true'] },
      },
      // https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
      RateLimit: {
        description:
          '`"key";r=0;t=1`: no more now, all of them again in a second; also in every other answer while a limit is set',
        schema: { type: 'string' },
      },
      RateLimitWhile: { description: '`"key";r=99;t=1`, while a limit is set', schema: { type: 'string' } },
      RateLimitPolicyWhile: { description: '`"key";q=100;w=1`, while a limit is set', schema: { type: 'string' } },
      RateLimitPolicy: {
        description: '`"key";q=100;w=1`: 100 requests a second',
        schema: { type: 'string' },
      },
      RequestId: { description: 'The log has it too', required: true, schema: { type: 'string' } },
      RetryAfter: { description: 'Seconds', required: true, schema: { type: 'integer', minimum: 0 } },
      RetryAfterWhile: {
        description: 'Seconds, with `idempotency_in_progress`',
        schema: { type: 'integer', minimum: 0 },
      },
      WwwAuthenticate: { description: 'RFC 6750', required: true, schema: { type: 'string' } },
    },
    examples: {
      ...problemExamples(),
      ...Object.fromEntries(Object.entries(named).map(([name, schema]) => [name, { value: sampleOf(schema) }])),
    },
    schemas: Object.fromEntries(Object.entries(named).map(([name, schema]) => [name, referenced(schema, true)])),
  },
})

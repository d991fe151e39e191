/** A real HTTP server in front of an application, for the tests of this folder. */
import { pino } from 'pino'
import { createHttpApp, type HttpOptions } from '../../../adapters/http/create-http-app.ts'
import { createIdempotency, type Idempotency } from '../../../adapters/http/idempotency.ts'
import { listen, type Patience } from '../../../adapters/http/listen.ts'
import { createWatches } from '../../../adapters/http/watches.ts'
import type { IdempotencyStore, KeptRequest } from '../../../domain/ports/idempotency.ts'
import type { Application } from '../../../src/usecases/application.ts'
import { KEY } from './fake-application.ts'

export type Answer = {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at what it expects
  readonly json: any
}

type Call = {
  readonly headers?: Record<string, string>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is. */
  readonly raw?: string | Uint8Array | ReadableStream
  /** Without the key. */
  readonly anonymous?: boolean
}

/** As the database keeps them. */
export const answersInMemory = (): IdempotencyStore => {
  const answers = new Map<string, KeptRequest>()
  const name = (orgId: string, caller: string, keyHash: string): string => `${orgId} ${caller} ${keyHash}`
  return {
    find: async (orgId, caller, keyHash) => answers.get(name(orgId, caller, keyHash)) ?? null,
    keep: async (kept) => {
      answers.set(name(kept.orgId, kept.caller, kept.keyHash), kept)
      return true
    },
  }
}

export type ApiServer = {
  readonly url: string
  readonly call: (method: string, path: string, call?: Call) => Promise<Answer>
  /** Log lines so far. */
  readonly logged: readonly { readonly [key: string]: unknown }[]
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

export const serve = async (
  app: Application,
  {
    level = 'debug',
    patience,
    idempotency = createIdempotency(answersInMemory(), Buffer.alloc(32)),
    ...more
  }: { readonly level?: string; readonly patience?: Patience; readonly idempotency?: Idempotency } & Partial<
    Omit<HttpOptions, 'log' | 'version'>
  > = {},
): Promise<ApiServer> => {
  const logged: { [key: string]: unknown }[] = []
  const log = pino({ level }, { write: (line: string) => void logged.push(JSON.parse(line)) })
  const listening = await listen({
    app: createHttpApp(app, {
      log,
      version: '2.0.0',
      idempotency,
      watches: createWatches({ authenticate: app.authenticate, log, heartbeatMs: 15_000 }),
      ...more,
    }),
    ...(patience === undefined ? {} : { patience }),
    host: '127.0.0.1',
    port: 0,
  })
  const call: ApiServer['call'] = async (method, path, { headers = {}, body, raw, anonymous = false } = {}) => {
    const response = await fetch(listening.url + path, {
      method,
      headers: {
        ...(anonymous ? {} : { authorization: `Bearer ${KEY}` }),
        ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(raw === undefined ? {} : { body: raw as never, duplex: 'half' }),
    } as RequestInit)
    // A stream of events has no end: that it began is the answer.
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    const text = isStream ? ((await response.body?.cancel()) ?? '') : await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true && text !== ''
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined }
  }
  return { url: listening.url, call, logged, [Symbol.asyncDispose]: () => listening.close(0) }
}

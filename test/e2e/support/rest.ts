/** The REST API with nothing but `fetch`, as anyone would use it who has read its documentation. */
import { expect } from 'chai'
import { eventually, PATIENCE_MS } from '../../support/eventually.ts'

// biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests are about
export type Json = any

export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Json }

export type Ask = {
  readonly body?: unknown
  /** As it is, instead of `body`. */
  readonly text?: string
  readonly headers?: { readonly [name: string]: string }
}

export type Rest = {
  readonly url: string
  readonly key: string
  readonly ask: (method: string, path: string, what?: Ask) => Promise<Answer>
  readonly get: (path: string, headers?: { readonly [name: string]: string }) => Promise<Answer>
  readonly post: (path: string, body?: unknown, headers?: { readonly [name: string]: string }) => Promise<Answer>
  readonly create: (request: object) => Promise<Json>
  readonly session: (id: string) => Promise<Json>
  /** Waits until a session has this status; `within` milliseconds. */
  readonly until: (id: string, status: string, within?: number) => Promise<Json>
  readonly gone: (id: string, within?: number) => Promise<void>
  /** All items of a list, page by page. */
  readonly all: (path: string) => Promise<Json[]>
}

export const rest = (url: string, key: string): Rest => {
  const ask = async (method: string, path: string, { body, text, headers }: Ask = {}): Promise<Answer> => {
    const payload = text ?? (body === undefined ? undefined : JSON.stringify(body))
    const response = await fetch(
      `${url}${/^\/(api\/|\/|healthz|readyz|metrics|openapi)/.test(path) ? path : `/api/v1${path}`}`,
      {
        method,
        signal: AbortSignal.timeout(15_000),
        headers: {
          authorization: `Bearer ${key}`,
          ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(payload === undefined ? {} : { body: payload }),
      },
    )
    const said = await (endless(response) ? response.body?.cancel().then(() => '') : response.text())
    return { status: response.status, headers: response.headers, body: parsed(said ?? '') }
  }
  const get: Rest['get'] = (path, headers) => ask('GET', path, headers === undefined ? {} : { headers })
  const session = async (id: string): Promise<Json> => {
    const { status, body } = await get(`/sessions/${id}`)
    expect(status, JSON.stringify(body)).to.equal(200)
    return body
  }
  return {
    url,
    key,
    ask,
    get,
    session,
    post: (path, body, headers) => ask('POST', path, { body, ...(headers === undefined ? {} : { headers }) }),
    create: async (request) => {
      const { status, body } = await ask('POST', '/sessions', { body: request })
      expect(status, JSON.stringify(body)).to.equal(201)
      return body
    },
    until: (id, status, within = PATIENCE_MS) =>
      eventually(
        async () => {
          const found = await session(id)
          expect(found.status, `${found.statusReason}: ${found.statusMessage}`).to.equal(status)
          return found
        },
        { within },
      ),
    gone: (id, within = PATIENCE_MS) =>
      eventually(
        async () => {
          expect((await get(`/sessions/${id}`)).status).to.equal(404)
        },
        { within },
      ),
    all: async (path) => {
      const items: Json[] = []
      for (let cursor: string | null = null; ; ) {
        const more: string =
          cursor === null ? '' : `${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`
        const { status, body } = await get(`${path}${more}`)
        expect(status, JSON.stringify(body)).to.equal(200)
        items.push(...body.items)
        cursor = body.nextCursor
        if (cursor === null) return items
      }
    },
  }
}

/** A stream of events: that it began is the answer. */
const endless = ({ headers }: Response): boolean =>
  headers.get('content-type')?.startsWith('text/event-stream') === true

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

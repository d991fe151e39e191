import { expect } from 'chai'
import { createClient } from '../../../src/client/client.ts'
import { encodeQuery, fillPath, filterInBody } from '../../../src/client/encode.ts'
import { ProblemError, UnexpectedAnswerError, UnreachableError } from '../../../src/client/errors.ts'
import { parseRetryAfter, retryDelay } from '../../../src/client/retry.ts'

type Sent = { readonly url: string; readonly init: RequestInit }

/** A client whose fetch gives these answers in turn; an Error is thrown. */
const clientThat = (answers: readonly (Response | Error)[]) => {
  const sent: Sent[] = []
  const slept: number[] = []
  const client = createClient({
    url: 'http://server/prefix/',
    apiKey: 'ssk_x',
    fetch: async (url, init = {}) => {
      sent.push({ url: String(url), init })
      const answer = answers[sent.length - 1] ?? expect.fail('asked once more than expected')
      if (answer instanceof Error) throw answer
      return answer
    },
    sleep: async (ms) => slept.push(ms),
  })
  return { client, sent, slept }
}

const json = (body: unknown, status = 200): Response => Response.json(body, { status })

const problem = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  new Response(
    JSON.stringify({
      type: `urn:streamspace:problem:${code}`,
      title: 'Title',
      status,
      detail: 'detail',
      code,
      requestId: 'r',
      errors: [{ field: 'name', message: 'must not be empty' }],
    }),
    { status, headers: { 'Content-Type': 'application/problem+json', ...headers } },
  )

const refused = (): Error =>
  Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) })

const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('it did not fail'),
    (error) => error,
  )

const summary = { total: 0, byStatus: {} }

describe('the REST client', () => {
  it('sends key, path and filters as the API reads them', async () => {
    const { client, sent } = clientThat([json({ items: [], nextCursor: null })])
    await client.sessions.list(
      {
        status: ['running', 'failed'],
        label: [
          ['team', 'a&b'],
          ['tier', '1'],
        ],
        q: 'x y',
      },
      10,
    )
    expect(sent[0]?.url).to.equal(
      'http://server/prefix/api/v1/sessions?status=running%2Cfailed&label=team%3Da%26b&label=tier%3D1&q=x+y&limit=10',
    )
    expect(sent[0]?.init.headers).to.include({ Authorization: 'Bearer ssk_x' })
    expect(fillPath('/a/{id}/b', { id: 'x/../y' })).to.equal('/a/x%2F..%2Fy/b')
    expect(encodeQuery({ none: undefined, force: true })).to.equal('?force=true')
    expect(
      filterInBody({
        label: [
          ['team', 'a'],
          ['tier', '1', '2'],
        ],
      }),
    ).to.deep.equal({
      label: ['team=a', 'tier in (1,2)'],
    })
    // As a filter it would be none.
    expect(() => encodeQuery({ user: [] })).to.throw(TypeError, 'user')
  })

  it('gives a refusal with everything the server says of it', async () => {
    const { client } = clientThat([problem(404, 'not_found')])
    const error = await failure(client.sessions.get('x'))
    expect(error).to.be.instanceOf(ProblemError)
    expect(error).to.include({ status: 404, code: 'not_found', detail: 'detail' })
    expect((error as ProblemError).errors).to.deep.equal([{ field: 'name', message: 'must not be empty' }])
  })

  it('keeps fields that only a newer server knows, and refuses what is no answer of ours', async () => {
    const newer = { ...summary, new: true }
    expect(await clientThat([json(newer)]).client.sessions.summary()).to.deep.equal(newer)
    expect(await failure(clientThat([json({ hello: 'world' })]).client.sessions.summary())).to.be.instanceOf(
      UnexpectedAnswerError,
    )
    expect(await failure(clientThat([new Response('<html>', { status: 500 })]).client.sessions.summary())).to.include({
      message: 'http://server/prefix/api/v1/sessions/summary answered 500: <html>',
    })
  })

  it('repeats what got no answer; a change under the same Idempotency-Key each time, a read without one', async () => {
    const keysOf = ({ sent }: ReturnType<typeof clientThat>) =>
      sent.map(({ init }) => new Headers(init.headers).get('idempotency-key'))
    const read = clientThat([refused(), refused(), json(summary)])
    expect(await read.client.sessions.summary()).to.deep.equal(summary)
    expect(read.slept).to.deep.equal([100, 200])
    expect(keysOf(read)).to.deep.equal([null, null, null])
    const change = clientThat([refused(), new Response(null, { status: 204 }), new Response(null, { status: 204 })])
    await change.client.sessions.touch('x')
    await change.client.sessions.touch('x')
    const [first, again, next] = keysOf(change)
    expect(first).to.match(/^[0-9a-f-]{36}$/)
    expect(again).to.equal(first)
    expect(next)
      .to.match(/^[0-9a-f-]{36}$/)
      .and.not.to.equal(first)
  })

  it('gives up in the end', async () => {
    const { client, slept } = clientThat([refused(), refused(), refused(), refused()])
    const error = await failure(client.sessions.summary())
    expect(error).to.be.instanceOf(UnreachableError)
    expect((error as Error).message).to.contain('nothing listens there (ECONNREFUSED)')
    expect(slept).to.deep.equal([100, 200, 400])
  })

  it('does what a busy server asks', async () => {
    const busy = () => problem(503, 'unavailable', { 'Retry-After': '2' })
    const { client, slept } = clientThat([busy(), json(summary)])
    await client.sessions.summary()
    expect(slept).to.deep.equal([2_000])
  })

  it('throws a bug as what it is', async () => {
    const { client } = clientThat([new RangeError('out of range')])
    expect(await failure(client.sessions.summary())).to.be.instanceOf(RangeError)
  })

  it('reads pages up to the limit', async () => {
    const template = (name: string) => ({
      name,
      version: 1,
      orgId: null,
      displayName: name,
      platforms: [],
      spec: {},
      createdAt: '',
      archivedAt: null,
    })
    const pages = () => [
      json({ items: [template('a'), template('b')], nextCursor: 'n' }),
      json({ items: [template('c')], nextCursor: null }),
    ]
    const all = clientThat(pages())
    expect(await all.client.templates.list({}, Number.POSITIVE_INFINITY)).to.deep.equal({
      items: ['a', 'b', 'c'].map(template),
      more: false,
    })
    expect(all.sent.map(({ url }) => url.split('?')[1])).to.deep.equal(['limit=500', 'limit=500&cursor=n'])
    expect(await clientThat(pages()).client.templates.list({}, 2)).to.deep.equal({
      items: ['a', 'b'].map(template),
      more: true,
    })
  })
})

/** A fetch that has no answer until it is told to stop, as fetch itself. */
const silence: typeof fetch = (_url, init) =>
  new Promise((_resolve, reject) => {
    init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
  })

describe('a list', () => {
  const org = (id: string) => ({ id, name: id, createdAt: '' })
  const pages = () => [
    json({ items: ['a', 'b'].map(org), nextCursor: 'n' }),
    json({ items: [org('c')], nextCursor: null }),
  ]

  it('is read item by item, and a page only when the one before is used up', async () => {
    const { client, sent } = clientThat(pages())
    const asked: number[] = []
    for await (const _ of client.orgs.list()) asked.push(sent.length)
    expect(asked).to.deep.equal([1, 1, 2])
    expect(sent.map(({ url }) => url.split('?')[1])).to.deep.equal(['limit=500', 'limit=500&cursor=n'])
  })

  it('comes in the order that is asked for', async () => {
    const { client, sent } = clientThat(pages())
    await client.orgs.list(10, '-createdAt')
    expect(sent.map(({ url }) => url.split('?')[1])).to.deep.equal([
      'sort=-createdAt&limit=10',
      'sort=-createdAt&limit=8&cursor=n',
    ])
  })

  it('is not asked for before somebody reads it, and not beyond where they stop', async () => {
    const { client, sent } = clientThat(pages())
    const list = client.orgs.list()
    expect(sent).to.have.length(0)
    for await (const { id } of list) if (id === 'b') break
    expect(sent).to.have.length(1)
  })

  it('ends at its limit', async () => {
    const { client, sent } = clientThat(pages())
    const read: string[] = []
    for await (const { id } of client.orgs.list(1)) read.push(id)
    expect([read, sent.length]).to.deep.equal([['a'], 1])
    expect(sent[0]?.url).to.contain('limit=1')
  })

  it('whose cursor leads to itself has an end', async () => {
    const stuck = () => json({ items: [org('a')], nextCursor: 'n' })
    const { client } = clientThat([stuck(), stuck(), stuck()])
    expect(await client.orgs.list()).to.deep.equal({ items: [org('a'), org('a')], more: false })
  })

  it('fails for whoever reads it', async () => {
    const reading = async (): Promise<void> => {
      for await (const _ of clientThat([problem(403, 'forbidden')]).client.orgs.list()) expect.fail('an item')
    }
    expect(await failure(reading())).to.include({ code: 'forbidden' })
    expect(await failure(clientThat([problem(403, 'forbidden')]).client.orgs.list())).to.include({ code: 'forbidden' })
  })
})

describe('a call that is cancelled', () => {
  const why = new Error('enough')

  it('fails with the reason, at once', async () => {
    const controller = new AbortController()
    const client = createClient({ url: 'http://server', apiKey: null, fetch: silence }).with({
      signal: controller.signal,
    })
    const failing = failure(client.sessions.summary())
    controller.abort(why)
    expect(await failing).to.equal(why)
    expect(await failure(client.sessions.summary())).to.equal(why)
  })

  it('waits for no further attempt', async () => {
    const controller = new AbortController()
    const client = createClient({
      url: 'http://server',
      apiKey: null,
      fetch: async () => {
        queueMicrotask(() => controller.abort(why))
        throw refused()
      },
      sleep: () => new Promise(() => {}),
    })
    expect(await failure(client.with({ signal: controller.signal }).sessions.summary())).to.equal(why)
  })

  it('is another thing than one that takes too long', async () => {
    const controller = new AbortController()
    const client = createClient({ url: 'http://server', apiKey: null, fetch: silence, timeoutMs: 1 })
    expect(await failure(client.with({ signal: controller.signal }).sessions.summary())).to.include({ kind: 'late' })
  })

  it('is cancelled alone where the signal is the call’s', async () => {
    const client = createClient({ url: 'http://server', apiKey: null, fetch: silence })
    expect(await failure(client.call('getHealth', { signal: AbortSignal.abort(why) }))).to.equal(why)
  })
})

describe('a change under a key of the caller’s', () => {
  it('goes under that key', async () => {
    const { client, sent } = clientThat([new Response(null, { status: 204 })])
    await client.with({ idempotencyKey: 'mine' }).sessions.touch('x')
    expect(new Headers(sent[0]?.init.headers).get('idempotency-key')).to.equal('mine')
  })
})

describe('when a request is repeated', () => {
  const busy = { kind: 'answered', status: 503, code: 'unavailable', retryAfterMs: 1_000 } as const

  it('is when it may be answered otherwise', () => {
    expect(retryDelay(busy, 0)).to.equal(1_000)
    expect(retryDelay({ ...busy, status: 429, code: 'rate_limited' }, 0)).to.equal(1_000)
    expect(retryDelay({ ...busy, status: 409, code: 'idempotency_in_progress' }, 0)).to.equal(1_000)
    expect(retryDelay({ ...busy, status: 409, code: 'transition_refused' }, 0)).to.equal(null)
    expect(retryDelay({ ...busy, status: 502, code: null, retryAfterMs: null }, 1)).to.equal(200)
    expect(retryDelay({ kind: 'broken' }, 0)).to.equal(100)
  })

  it('is bounded in number and time', () => {
    expect(retryDelay(busy, 3)).to.equal(null)
    expect(retryDelay({ ...busy, retryAfterMs: 60_000 }, 0)).to.equal(null)
    expect(retryDelay({ ...busy, retryAfterMs: null }, 0)).to.equal(null)
    expect(retryDelay({ ...busy, status: 500 }, 0)).to.equal(null)
  })

  it('follows Retry-After in seconds or as a date', () => {
    expect(parseRetryAfter('2', 0)).to.equal(2_000)
    expect(parseRetryAfter('Thu, 01 Jan 1970 00:00:05 GMT', 1_000)).to.equal(4_000)
    expect([parseRetryAfter(null, 0), parseRetryAfter('soon', 0)]).to.deep.equal([null, null])
  })
})

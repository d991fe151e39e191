/** The client's watch against servers that go away, fall silent and refuse. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { createClient, type WatchedEvent } from '../../../src/client/client.ts'
import { ProblemError, UnreachableError } from '../../../src/client/errors.ts'
import { eventually } from '../../support/eventually.ts'
import { NOBODYS_URL } from '../../support/ports.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const event = (n: number): string =>
  `id: p${n}\ndata: ${JSON.stringify({
    id: n,
    sessionId: '01890a5d-ac96-774b-bcce-b302099a8057',
    type: 'running',
    generation: 1,
    at: '2026-01-31T12:00:00.000Z',
    actor: 'agent:edge-1',
    data: {},
  })}\n\n`
const ready = (id: string): string => `event: ready\nid: ${id}\ndata: {}\n\n`

const stream = (response: ServerResponse, ...blocks: readonly string[]): ServerResponse => {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const block of blocks) response.write(block)
  return response
}
const refuse =
  (status: number, code: string, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json', ...headers })
    response.end(JSON.stringify({ type: `urn:x:${code}`, title: 't', status, detail: 'd', code, requestId: 'r' }))
  }

describe('the client’s watch', () => {
  const servers: { close: () => void }[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  /** Each answers one request, the last of them all that come after it. */
  const serving = async (...answers: readonly Answer[]) => {
    const asked: IncomingMessage[] = []
    const server = createServer((request, response) => {
      asked.push(request)
      answers[Math.min(asked.length, answers.length) - 1]?.(request, response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push({
      close: () => {
        server.close()
        server.closeAllConnections()
      },
    })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return { asked, url, client: createClient({ url, apiKey: 'ssk_x', sleep: async () => {} }) }
  }
  const take = async (events: AsyncIterable<WatchedEvent>, count: number): Promise<readonly number[]> => {
    const ids: number[] = []
    for await (const { id } of events) {
      ids.push(id)
      if (ids.length === count) break
    }
    return ids
  }

  it('gives each event with its position, and ends its connection when nobody wants more', async () => {
    let closed = false
    const { client, asked } = await serving((request, response) => {
      request.on('close', () => {
        closed = true
      })
      stream(response, ready('p0'), event(1), ': still here\n\n', event(2))
    })
    const seen: WatchedEvent[] = []
    for await (const one of client.watch({ label: [['team', 'a']], type: ['running'] })) {
      seen.push(one)
      if (seen.length === 2) break
    }
    expect(seen.map(({ id, position }) => [id, position])).to.deep.equal([
      [1, 'p1'],
      [2, 'p2'],
    ])
    expect(asked[0]?.url).to.equal('/api/v1/watch?label=team%3Da&type=running')
    expect(asked[0]?.headers).to.include({ authorization: 'Bearer ssk_x', accept: 'text/event-stream' })
    await eventually(() => expect(closed).to.equal(true))
  })

  it('goes on behind the last that came, also when the connection breaks in the middle of one', async () => {
    const { client, asked } = await serving(
      (_, response) => {
        stream(response, ready('p0'), event(1), event(2).slice(0, 30))
        setImmediate(() => response.destroy())
      },
      (_, response) => void stream(response, ready('p1'), event(2)).end('retry: 5\n: stopping\n\n'),
      (_, response) => void stream(response, ready('p2'), event(3)),
    )
    expect(await take(client.watch(), 3)).to.deep.equal([1, 2, 3])
    expect(asked.map(({ headers }) => headers['last-event-id'])).to.deep.equal([undefined, 'p1', 'p2'])
  })

  it('goes on from where it began when nothing had come yet, or from where it was told to', async () => {
    const { client, asked } = await serving(
      (_, response) => void stream(response, ready('p7')).end(),
      (_, response) => void stream(response, ready('p7'), event(8)),
    )
    expect(await take(client.watch({}, { after: 'p6' }), 1)).to.deep.equal([8])
    expect(asked.map(({ headers }) => headers['last-event-id'])).to.deep.equal(['p6', 'p7'])
  })

  it('takes a connection of which nothing is heard for lost', async () => {
    // By what it has, and not by how often it came: to connect is silence, too, and may take as long.
    const { client, asked } = await serving((request, response) => {
      if (request.headers['last-event-id'] === 'p1') stream(response, ready('p1'), event(2))
      else stream(response, ready('p0'), event(1))
    })
    expect(await take(client.watch({}, { silenceMs: 500 }), 2)).to.deep.equal([1, 2])
    expect(asked[0]?.headers).not.to.have.property('last-event-id')
    expect(asked.at(-1)?.headers).to.include({ 'last-event-id': 'p1' })
  })

  it('waits for a server that was there', async () => {
    const { client, asked } = await serving(
      (_, response) => void stream(response, ready('p0'), event(1)).end(),
      ...Array.from({ length: 6 }, () => refuse(503, 'unavailable', { 'retry-after': '1' })),
      (_, response) => void response.destroy(),
      (_, response) => void stream(response, ready('p1'), event(2)),
    )
    expect(await take(client.watch(), 2)).to.deep.equal([1, 2])
    expect(asked).to.have.length(9)
  })

  it('gives up on one that never was, and throws what is refused', async () => {
    const { client, asked } = await serving(refuse(503, 'overloaded', { 'retry-after': '1' }))
    const failure = async (events: AsyncIterable<WatchedEvent>) =>
      take(events, 1).then(
        () => expect.fail('it did not fail'),
        (error: unknown) => error,
      )
    expect(await failure(client.watch()))
      .to.be.instanceOf(ProblemError)
      .with.property('code', 'overloaded')
    expect(asked).to.have.length(4)
    const gone = await serving((_, response) => void stream(response, ready('p0')).end(), refuse(410, 'position_gone'))
    expect(await failure(gone.client.watch()))
      .to.be.instanceOf(ProblemError)
      .with.property('status', 410)
    const nobody = createClient({ url: NOBODYS_URL, apiKey: null, sleep: async () => {} })
    expect(await failure(nobody.watch())).to.be.instanceOf(UnreachableError)
  })

  it('ends when its signal says so, whatever it is doing', async () => {
    const { client } = await serving((_, response) => void stream(response, ready('p0'), event(1)))
    const stop = new AbortController()
    const seen: number[] = []
    const done = (async () => {
      for await (const { id } of client.watch({}, { signal: stop.signal })) {
        seen.push(id)
        setImmediate(() => stop.abort())
      }
    })()
    await done
    expect(seen).to.deep.equal([1])
    const nobody = createClient({ url: NOBODYS_URL, apiKey: null })
    const soon = new AbortController()
    setImmediate(() => soon.abort())
    expect(await take(nobody.watch({}, { signal: soon.signal }), 1)).to.deep.equal([])
    expect(await take(client.watch({}, { signal: AbortSignal.abort() }), 1)).to.deep.equal([])
  })
})

import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { expect } from 'chai'
import { WebSocket } from 'ws'
import { SUBPROTOCOL } from '../../../agents/protocol.ts'
import { eventually } from '../../support/eventually.ts'
import { type AHub, startHub, tokenOf } from './support/a-hub.ts'

describe('the upgrade of an agent', () => {
  let a: AHub
  afterEach(() => a.stop())

  type Answer = { status: number; headers: Record<string, unknown>; body: string }
  const upgrade = (path = '/agents/connect', headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asking = request({
        host: '127.0.0.1',
        port: a.port,
        path,
        method,
        headers: {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
          'sec-websocket-protocol': SUBPROTOCOL,
          authorization: `Bearer ${tokenOf('edge-1')}`,
          ...headers,
        },
      })
      asking.on('response', (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
      })
      asking.on('upgrade', (_response, socket) => {
        socket.destroy()
        resolve({ status: 101, headers: {}, body: '' })
      })
      asking.on('error', reject)
      asking.end()
    })

  it('answers another path with 404 when nobody else listens for upgrades', async () => {
    a = await startHub()
    const answer = await upgrade('/somewhere')
    expect(answer.status).to.equal(404)
    expect(answer.headers).to.include({ connection: 'close', 'content-length': String(Buffer.byteLength(answer.body)) })
  })

  it('leaves another path to others who listen for upgrades', async () => {
    a = await startHub()
    a.server.on('upgrade', (asked, socket) => {
      if (asked.url === '/tunnel') socket.end('HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
    })
    expect((await upgrade('/tunnel')).status).to.equal(418)
  })

  it('refuses one without the subprotocol with 400', async () => {
    a = await startHub()
    expect(
      (await upgrade('/agents/connect', { 'sec-websocket-protocol': 'chat, streamspace.agent.v9' })).status,
    ).to.equal(400)
  })

  it('refuses one that is no WebSocket handshake in plain HTTP', async () => {
    a = await startHub()
    a.leases.enrol(tokenOf('edge-1'), { agentId: 'edge-1' as never, orgId: null, platform: 'process' })
    expect((await upgrade('/agents/connect', { 'sec-websocket-key': 'short' })).status).to.equal(400)
    await eventually(() => expect(a.hub.stats().connecting).to.equal(0))
  })

  for (const [what, authorization] of [
    ['no token', ''],
    ['a token of another kind', 'Bearer ssk_admin'],
    ['a token nobody has', 'Bearer ssa_nobody'],
  ] as const)
    it(`refuses ${what} with 401`, async () => {
      a = await startHub()
      const answer = await upgrade('/agents/connect', { authorization })
      expect(answer.status).to.equal(401)
      expect(answer.headers).to.include({ 'www-authenticate': 'Bearer' })
    })

  it('answers 503 with Retry-After while the database is lost, and lets in when it is back', async () => {
    a = await startHub()
    a.leases.isDown = true
    const answer = await upgrade()
    expect(answer.status).to.equal(503)
    expect(Number(answer.headers['retry-after'])).to.be.within(1, 5)
    a.leases.isDown = false
    const client = await a.connect()
    expect(client.frames[0]).to.include({ type: 'welcome', epoch: 1 })
  })

  it('answers 503 with Retry-After when too many are connecting, and lets in when there is room again', async () => {
    a = await startHub({ maxUpgrades: 2 })
    let letIn = (): void => {}
    const held = new Promise<void>((resolve) => {
      letIn = resolve
    })
    a.leases.whileIdentifying = () => held
    const first = [a.dial('edge-1'), a.dial('edge-2')]
    await eventually(() => expect(a.hub.stats().connecting).to.equal(2))
    const answer = await upgrade()
    expect(answer.status).to.equal(503)
    expect(answer.headers).to.have.property('retry-after')
    letIn()
    for (const client of await Promise.all(first)) client.hello()
    await eventually(() => expect(a.hub.stats()).to.include({ connecting: 0, connections: 2 }))
    await a.connect('edge-3')
  })

  it('lets one agent use few places of those who are not welcomed yet', async () => {
    a = await startHub()
    for (let count = 0; count < 4; count++) await a.dial('edge-1')
    expect((await upgrade()).status).to.equal(503)
    await a.connect('edge-2')
  })

  it('refuses with 503 while it stops', async () => {
    a = await startHub()
    await a.hub.close({ reason: 'stopping' })
    expect((await upgrade()).status).to.equal(503)
  })

  it('gives the place of someone free who leaves in the middle', async () => {
    a = await startHub({ maxUpgrades: 1 })
    let letIn = (): void => {}
    a.leases.whileIdentifying = () =>
      new Promise<void>((resolve) => {
        letIn = resolve
      })
    const socket = connect(a.port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write(
      [
        'GET /agents/connect HTTP/1.1',
        'Host: x',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`,
        'Authorization: Bearer ssa_x',
        '',
        '',
      ].join('\r\n'),
    )
    await eventually(() => expect(a.hub.stats().connecting).to.equal(1))
    socket.resetAndDestroy()
    letIn()
    await eventually(() => expect(a.hub.stats().connecting).to.equal(0))
    a.leases.whileIdentifying = () => {}
    await a.connect()
  })

  it('agrees on the subprotocol also when others are offered', async () => {
    a = await startHub()
    a.leases.enrol(tokenOf('edge-1'), { agentId: 'edge-1' as never, orgId: null, platform: 'process' })
    const socket = new WebSocket(`ws://127.0.0.1:${a.port}/agents/connect`, ['streamspace.agent.v9', SUBPROTOCOL], {
      headers: { authorization: `Bearer ${tokenOf('edge-1')}` },
    })
    await once(socket, 'open')
    expect(socket.protocol).to.equal(SUBPROTOCOL)
    expect(socket.extensions).to.equal('')
    socket.terminate()
  })
})

import { Agent, get, type RequestListener } from 'node:http'
import { connect } from 'node:net'
import { expect } from 'chai'
import { CannotListenError, listen } from '../../../adapters/http/listen.ts'
import { standStill } from '../../support/stand-still.ts'

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )

describe('listening', () => {
  it('a busy port is an error that says what to do', async () => {
    const first = await listen({ app: (_request, response) => response.end(), host: '127.0.0.1', port: 0 })
    try {
      const error = await failureOf(
        listen({ app: (_request, response) => response.end(), host: '127.0.0.1', port: first.port }),
      )
      expect(error).to.be.instanceOf(CannotListenError)
      expect((error as Error).message).to.equal(
        `port ${first.port} is in use by another program: set PORT to another, or PORT=0 for any free one`,
      )
    } finally {
      await first.close()
    }
  })

  it('an address of another machine is an error that names HOST', async () => {
    const error = await failureOf(listen({ app: () => {}, host: '203.0.113.7', port: 0 }))
    expect((error as Error).message)
      .to.include('203.0.113.7')
      .and.include('HOST')
  })

  it('closing answers what came in time, though this process had to wait for its turn', async () => {
    const app: RequestListener = (request, response) => void response.end(request.url)
    const server = await listen({ app, host: '127.0.0.1', port: 0 })
    const socket = connect(server.port, '127.0.0.1').setEncoding('utf8')
    const ask = (path: string): void => void socket.write(`GET ${path} HTTP/1.1\r\nhost: here\r\n\r\n`)
    ask('/first')
    let heard = ''
    for await (const chunk of socket) {
      heard += chunk
      if (!heard.endsWith('/first')) continue
      void server.close(60_000)
      ask('/second')
      // Longer than connections that wait are left open.
      standStill(700)
    }
    expect(heard).to.match(/connection: close[\s\S]*\/second$/i)
  })

  it('closing lets the running request finish and ends connections that wait', async () => {
    const arrived = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const server = await listen({
      app: (request, response) => {
        if (request.url === '/quick') return void response.end('quick')
        arrived.resolve()
        void release.promise.then(() => response.end('done'))
      },
      host: '127.0.0.1',
      port: 0,
    })
    expect(await (await fetch(`${server.url}/quick`)).text()).to.equal('quick')
    const running = fetch(`${server.url}/slow`).then((response) => response.text())
    await arrived.promise
    const graceMs = 60_000
    const closed = server.close(graceMs)
    const refused = await new Promise((resolve) => {
      connect(server.port, '127.0.0.1', () => resolve('let in')).on('error', resolve)
    })
    expect(refused, 'a new connection').to.include({ code: 'ECONNREFUSED' })
    const startedAt = performance.now()
    release.resolve()
    expect(await running).to.equal('done')
    await closed
    expect(performance.now() - startedAt, 'it waits for requests, not for its time to be over').to.be.below(graceMs / 3)
  })

  it('closing tells a client that is busy to end its connection, and breaks none of its requests', async () => {
    const server = await listen({ app: (_request, response) => response.end('done'), host: '127.0.0.1', port: 0 })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ask = () =>
      new Promise<string | undefined>((resolve, reject) => {
        get(server.url, { agent }, (response) => {
          response.resume().on('end', () => resolve(response.headers.connection))
        }).on('error', reject)
      })
    expect(await ask()).to.equal('keep-alive')
    const closed = server.close(5_000)
    expect(await ask(), 'on the same connection').to.equal('close')
    await closed
    agent.destroy()
  })

  it('a request that does not finish is ended when the time is over', async () => {
    const arrived = Promise.withResolvers<void>()
    const server = await listen({ app: () => arrived.resolve(), host: '127.0.0.1', port: 0 })
    const running = failureOf(fetch(server.url))
    await arrived.promise
    await server.close(50)
    expect(await running).to.be.instanceOf(TypeError)
  })

  /** All that is answered to what is written by hand. */
  const answerTo = (port: number, text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      let said = ''
      socket.on('data', (data) => {
        said += data.toString()
      })
      socket.on('end', () => resolve(said))
      socket.on('error', reject)
    })

  it('a request that does not say for which host it is is refused as all others are', async () => {
    const server = await listen({ app: (_request, response) => response.end('done'), host: '127.0.0.1', port: 0 })
    const said = await answerTo(server.port, 'GET / HTTP/1.1\r\n\r\n')
    expect(said)
      .to.match(/^HTTP\/1\.1 400 /)
      .and.include('application/problem+json')
      .and.include('malformed_request')
    expect(await answerTo(server.port, 'GET / HTTP/1.0\r\n\r\n')).to.include('done')
    await server.close(0)
  })

  it('what somebody expects beside is not heeded', async () => {
    const server = await listen({ app: (_request, response) => response.end('done'), host: '127.0.0.1', port: 0 })
    const head = 'GET / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nConnection: close\r\n\r\n'
    expect(await answerTo(server.port, head)).to.match(/^HTTP\/1\.1 200 /)
    await server.close(0)
  })

  it('a WebSocket begins only where one may: elsewhere the request is an ordinary one', async () => {
    const app: RequestListener = (request, response) => response.end(`ordinary ${request.url}`)
    const server = await listen({ app, host: '127.0.0.1', port: 0, upgrades: ['/here'] })
    server.server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
    const offer = (path: string): Promise<string> =>
      answerTo(
        server.port,
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n`,
      )
    expect(await offer('/there?x=1')).to.include('ordinary /there?x=1')
    for (const path of ['/here', '/here?x=1']) expect(await offer(path)).to.match(/^HTTP\/1\.1 101 /)
    await server.close(0)
  })

  it('a connection that another protocol has taken over is ended too', async () => {
    const server = await listen({ app: () => {}, host: '127.0.0.1', port: 0 })
    const upgraded = Promise.withResolvers<void>()
    server.server.on('upgrade', () => upgraded.resolve())
    const socket = connect(server.port, '127.0.0.1', () =>
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    )
    const ended = new Promise<void>((resolve) => {
      socket.on('close', () => resolve())
      socket.on('error', () => {})
    })
    await upgraded.promise
    await server.close(50)
    await ended
  })
})

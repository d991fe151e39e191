/** The proxy must see whole frames whatever way the bytes are cut, or a fault hits another frame than the one it was aimed at. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect } from 'chai'
import fc from 'fast-check'
import { WebSocket, WebSocketServer } from 'ws'
import { createFrameSplitter } from '../../scripts/faults/frames.ts'
import { type Aim, startProxy } from '../../scripts/faults/proxy.ts'
import { eventually } from '../support/eventually.ts'

const HEAD = Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n')

const textFrame = (text: string): Buffer => {
  const payload = Buffer.from(text)
  const header =
    payload.length < 126
      ? Buffer.from([0x81, payload.length])
      : Buffer.from([0x81, 126, payload.length >> 8, payload.length & 0xff])
  return Buffer.concat([header, payload])
}

describe('the splitter of frames', () => {
  it('finds every frame in a stream that is cut anywhere, and loses no byte', () => {
    const messages = fc.array(fc.record({ type: fc.string(), filler: fc.string({ maxLength: 300 }) }), { maxLength: 8 })
    fc.assert(
      fc.property(
        messages,
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 }),
        (sent, cuts) => {
          const stream = Buffer.concat([HEAD, ...sent.map((message) => textFrame(JSON.stringify(message)))])
          const split = createFrameSplitter()
          const pieces = []
          for (let at = 0, turn = 0; at < stream.length; turn += 1) {
            const size = cuts[turn % cuts.length] ?? 1
            pieces.push(...split(stream.subarray(at, at + size)))
            at += size
          }
          expect(Buffer.concat(pieces.map(({ bytes }) => bytes)).equals(stream)).to.equal(true)
          expect(pieces.flatMap(({ frame }) => (frame === null ? [] : [frame]))).to.deep.equal(
            JSON.parse(JSON.stringify(sent)),
          )
        },
      ),
    )
  })
})

describe('the proxy', () => {
  const ends: (() => void | Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  /** A server that says back what it hears, behind a proxy that does what is told to each frame. */
  const echoBehindProxy = async (aim: (frame: { readonly [field: string]: unknown }) => Aim) => {
    const server = createServer()
    const sockets = new WebSocketServer({ server })
    const heard: unknown[] = []
    sockets.on('connection', (socket) => {
      socket.on('error', () => {})
      socket.on('message', (data) => {
        heard.push(JSON.parse(String(data)))
        socket.send(String(data))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const proxy = await startProxy({
      target: () => port,
      seen: (direction, frame) => (direction === 'to server' ? aim(frame) : 'pass'),
    })
    const client = new WebSocket(proxy.url.replace('http', 'ws'))
    client.on('error', () => {})
    const answers: unknown[] = []
    client.on('message', (data) => answers.push(JSON.parse(String(data))))
    ends.push(
      proxy.close,
      () => client.terminate(),
      () => void server.close(),
      () => sockets.close(),
    )
    await once(client, 'open')
    return { proxy, client, heard, answers, say: (message: object) => client.send(JSON.stringify(message)) }
  }

  it('passes everything, in pieces of one byte too', async () => {
    const { proxy, answers, say } = await echoBehindProxy(() => 'pass')
    proxy.weather({ chunk: 1 })
    for (let number = 0; number < 20; number += 1) say({ number, text: 'ä'.repeat(200) })
    await eventually(() => expect(answers).to.have.length(20))
    expect(answers[19]).to.deep.equal({ number: 19, text: 'ä'.repeat(200) })
  })

  it('loses exactly the frame that it is aimed at', async () => {
    const { heard, answers, say } = await echoBehindProxy((frame) => (frame.number === 1 ? 'lose' : 'pass'))
    for (let number = 0; number < 3; number += 1) say({ number })
    await eventually(() => expect(answers).to.have.length(2))
    expect(heard).to.deep.equal([{ number: 0 }, { number: 2 }])
  })

  for (const [aim, arrives] of [
    ['cut before', 1],
    ['cut within', 1],
    ['cut after', 2],
  ] as const)
    it(`${aim} a frame: ${arrives} of two arrive, and both ends are told`, async () => {
      const { client, heard, say } = await echoBehindProxy((frame) => (frame.number === 1 ? aim : 'pass'))
      say({ number: 0 })
      await eventually(() => expect(heard).to.have.length(1))
      const closed = once(client, 'close')
      say({ number: 1 })
      await closed
      await eventually(() => expect(heard).to.have.length(arrives))
    })

  it('half-open: nothing arrives and nobody is told', async () => {
    const { proxy, client, heard, say } = await echoBehindProxy(() => 'pass')
    say({ number: 0 })
    await eventually(() => expect(heard).to.have.length(1))
    proxy.weather({ swallow: true })
    say({ number: 1 })
    const ponged = once(client, 'pong', { signal: AbortSignal.timeout(300) }).then(
      () => true,
      () => false,
    )
    client.ping()
    expect(await ponged).to.equal(false)
    expect(client.readyState).to.equal(WebSocket.OPEN)
    expect(heard).to.have.length(1)
  })
})

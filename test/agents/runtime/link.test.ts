import { PassThrough } from 'node:stream'
import { expect } from 'chai'
import { CONGESTED_BYTES, linkOver } from '../../../agents/runtime/link.ts'

const heartbeat = { type: 'heartbeat', at: '2026-01-01T00:00:00.000Z', activeSessions: 0, inventoryHash: '' } as const

/** A socket as `ws` has it: each frame is written to the stream below. */
const over = (stream: PassThrough) => {
  const written: number[] = []
  const write = (what: string | Buffer) => void stream.write(what)
  const socket = { readyState: 1, bufferedAmount: 0, send: write, pong: write }
  stream.on('data', (bytes: Buffer) => written.push(bytes.length))
  return { link: linkOver(socket as never), written, socket }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('the link of an agent', () => {
  it('holds what one turn of the event loop sends back until its end, and not longer', async () => {
    const stream = new PassThrough()
    const { link, written } = over(stream)
    link.gatherOn(stream)
    link.send(heartbeat)
    link.send(heartbeat)
    expect(stream.writableCorked).to.equal(1)
    expect(written).to.deep.equal([])
    await turn()
    await turn()
    expect(stream.writableCorked).to.equal(0)
    expect(written).to.have.length(2)
    link.send(heartbeat)
    await turn()
    await turn()
    expect(written).to.have.length(3)
  })

  it('answers a ping in one write with the frames of that turn', async () => {
    const stream = new PassThrough()
    const { link, written } = over(stream)
    link.gatherOn(stream)
    link.pong(Buffer.from('ping'))
    link.send(heartbeat)
    expect(stream.writableCorked).to.equal(1)
    expect(written).to.deep.equal([])
    await turn()
    await turn()
    expect(written).to.have.length(2)
  })

  it('does not answer the pings of a server that does not read', async () => {
    const stream = new PassThrough()
    const { link, written, socket } = over(stream)
    socket.bufferedAmount = CONGESTED_BYTES + 1
    link.pong(Buffer.from('ping'))
    await turn()
    expect(written).to.deep.equal([])
  })

  it('sends nothing more once it is closed, and lets go of what it held back', async () => {
    const stream = new PassThrough()
    const { link, written } = over(stream)
    link.gatherOn(stream)
    link.send(heartbeat)
    link.close()
    link.send(heartbeat)
    await turn()
    await turn()
    expect(written).to.have.length(1)
    expect(stream.writableCorked).to.equal(0)
  })
})

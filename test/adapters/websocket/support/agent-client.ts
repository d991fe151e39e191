/** The agent's end of a socket, as a test drives it. */
import { expect } from 'chai'
import { WebSocket } from 'ws'
import { type AgentFrame, type Frame, type ServerFrame, SUBPROTOCOL } from '../../../../agents/protocol.ts'
import { eventually, PATIENCE_MS } from '../../../support/eventually.ts'

export class AgentClient {
  readonly agentId: string
  readonly socket: WebSocket
  readonly frames: ServerFrame[] = []
  pings = 0
  closing: { readonly code: number; readonly reason: string } | null = null
  readonly opened: Promise<void>

  constructor(url: string, agentId: string, token: string) {
    this.agentId = agentId
    this.socket = new WebSocket(url, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    })
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', () => resolve())
      this.socket.once('error', reject)
    })
    this.socket.on('error', () => {})
    this.socket.on('message', (data: Buffer) => this.frames.push(JSON.parse(data.toString()) as ServerFrame))
    this.socket.on('ping', () => {
      this.pings += 1
    })
    this.socket.on('close', (code, reason) => {
      this.closing = { code, reason: reason.toString() }
    })
  }

  hello(changes: object = {}): void {
    this.raw({
      type: 'hello',
      protocol: 1,
      agentId: this.agentId,
      platform: 'process',
      version: '2.0.0',
      capacity: { maxSessions: 10, cpuMillis: 4_000, memoryMib: 4_096 },
      ...changes,
    })
  }

  send(frame: AgentFrame): void {
    this.raw(frame)
  }

  raw(frame: unknown): void {
    this.socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  }

  of<T extends ServerFrame['type']>(type: T): Frame<T>[] {
    return this.frames.filter((frame) => frame.type === type) as Frame<T>[]
  }

  /** The first, or the first so many, of a type. */
  next<T extends ServerFrame['type']>(type: T): Promise<Frame<T>> {
    return eventually(() => {
      const frame = this.of(type)[0]
      if (frame === undefined) throw new Error(`no ${type} among ${this.frames.map((one) => one.type).join(', ')}`)
      return frame
    })
  }

  async count<T extends ServerFrame['type']>(type: T, count: number, within = PATIENCE_MS): Promise<Frame<T>[]> {
    await eventually(() => expect(this.of(type)).to.have.lengthOf(count), { within })
    return this.of(type)
  }

  closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return eventually(() => {
      if (this.closing === null) throw new Error('not closed')
      return this.closing
    })
  }
}

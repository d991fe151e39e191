import { createHash } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import {
  type AgentFrame,
  agentFrames,
  decodeAgentFrame,
  decodeServerFrame,
  encodeFrame,
  errorCodes,
  type FrameError,
  type InventoryItem,
  inventoryText,
  serverFrames,
} from '../../../agents/protocol.ts'
import { E } from '../../../domain/fp.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { anyCharacter } from '../../support/any-text.ts'

const SESSION = '01890a5d-ac96-774b-bcce-b302099a8057' as SessionId
const COMMAND = '01890a5d-ac96-774b-bcce-b302099a8c01'
const TIME = '2026-03-01T12:00:00Z'

const right = <A>(result: E.Either<unknown, A>): A =>
  E.isRight(result) ? result.right : expect.fail(JSON.stringify(result.left))
const refused = (frame: unknown) => {
  const result = decodeAgentFrame(typeof frame === 'string' ? frame : JSON.stringify(frame))
  return E.isLeft(result) ? result.left : expect.fail('it was decoded')
}
const said = (frame: object): AgentFrame => right(decodeAgentFrame(JSON.stringify(frame)))

const hello = {
  type: 'hello',
  protocol: 1,
  agentId: 'edge-1',
  platform: 'process',
  version: '2.0.0',
  capacity: { maxSessions: 10, cpuMillis: 4000, memoryMib: 8192 },
}
const status = { type: 'status', sessionId: SESSION, generation: 3, status: 'running' }
const result = { type: 'result', commandId: COMMAND, sessionId: SESSION, generation: 3, outcome: 'applied' }
const examples: readonly object[] = [
  hello,
  { ...hello, region: 'eu', labels: { rack: '7' }, lastEpoch: 9 },
  { type: 'inventory', items: [{ sessionId: SESSION, generation: 3, status: 'stopped' }], final: true },
  { type: 'heartbeat', at: TIME, activeSessions: 3, inventoryHash: 'a'.repeat(64) },
  { type: 'ack', commandIds: [COMMAND] },
  result,
  { ...result, outcome: 'failed', error: { code: 'engine', message: 'gone', retryable: true } },
  status,
  { ...status, at: TIME, reason: null, exitCode: 137, endpoint: null, restarts: 1 },
  { ...status, note: { type: 'projection_edited', message: 'spec.user was changed' } },
  { type: 'activity', sessionId: SESSION, lastActivityAt: TIME },
  { type: 'degraded', reason: null },
  { type: 'error' },
]
const command = {
  type: 'command',
  commandId: COMMAND,
  command: 'start_session',
  sessionId: SESSION,
  generation: 3,
  attempt: 0,
  expiresAt: null,
  desired: {
    state: 'running',
    incarnation: 0,
    spec: { resources: { cpuMillis: 250, memoryMib: 128 }, env: {}, process: { command: ['node'] } },
    persistentHome: true,
    orgId: 'acme',
    userId: 'ada',
    name: 'desk',
    template: { name: 'hello-web', version: 1 },
  },
}

describe('a frame', () => {
  it('of every kind is decoded as it is written', () => {
    for (const frame of examples) expect(said(frame)).to.deep.equal(frame)
    expect(right(decodeServerFrame(JSON.stringify(command)))).to.deep.equal(command)
    expect(new Set(examples.map((frame) => (frame as { type: string }).type)).size).to.equal(
      Object.keys(agentFrames).length,
    )
  })

  it('that is no JSON object is a bad frame', () => {
    for (const text of ['', '{', 'null', '1', '"x"', '[]', '{}{}', '\u0000'])
      expect(refused(text).code, text).to.equal('bad_frame')
  })

  it('without a type, or of a known type that does not decode, is a bad message, and says which field', () => {
    for (const frame of [{}, { type: 7 }, { type: null }]) expect(refused(frame).code).to.equal('bad_message')
    const { code, message, about } = refused({ ...hello, capacity: { maxSessions: -1, cpuMillis: 1, memoryMib: 1 } })
    expect([code, about]).to.deep.equal(['bad_message', 'hello'])
    expect(message).to.equal('hello.capacity.maxSessions must be at least 0')
  })

  it('of an unknown type is one of a newer version, not a bad one', () => {
    for (const type of ['logs', 'constructor', '__proto__', 'welcome'])
      expect(refused(JSON.parse(`{"type": "${type}"}`)), type).to.deep.include({ code: 'unknown_type', about: type })
    expect(refused({ type: 'x'.repeat(5_000) }).about).to.have.length(64)
    expect(refused({ type: `${'x'.repeat(63)}😀` }).about?.isWellFormed()).to.equal(true)
  })

  it('is an error whatever is said in it, as nobody is told that an error is not understood', () => {
    for (const odd of [{ code: 5 }, { message: null }, { about: ['x'] }]) {
      expect(said({ type: 'error', ...odd })).to.deep.equal({ type: 'error' })
      expect(right(decodeServerFrame(JSON.stringify({ type: 'error', ...odd })))).to.deep.equal({ type: 'error' })
    }
  })

  it('may have fields that this version does not know: they are dropped', () => {
    expect(said({ ...status, mood: 'fine' })).to.deep.equal(status)
    expect(said({ ...hello, capacity: { ...hello.capacity, gpus: 2 } })).to.deep.equal(hello)
    const newer = {
      ...command,
      desired: { ...command.desired, spec: { ...command.desired.spec, gpu: {} } },
      trace: 'x',
    }
    expect(right(decodeServerFrame(JSON.stringify(newer)))).to.deep.equal(command)
  })

  it('has ids in small letters, so that two spellings are one session', () => {
    expect(said({ ...status, sessionId: SESSION.toUpperCase() })).to.deep.equal(status)
    for (const sessionId of ['', 'x', `${SESSION} `, SESSION.slice(1), 7])
      expect(refused({ ...status, sessionId }).message).to.match(/status\.sessionId must be a UUID/)
  })

  it('has only statuses, outcomes and figures that there are', () => {
    for (const bad of [
      { ...status, status: 'pending' },
      { ...status, generation: -1 },
      { ...status, generation: 1.5 },
      { ...status, restarts: 2 ** 31 },
      { ...result, outcome: 'done' },
      { type: 'activity', sessionId: SESSION, lastActivityAt: 'yesterday' },
      { type: 'heartbeat', at: TIME, activeSessions: 0, inventoryHash: 'A'.repeat(64) },
      { ...hello, agentId: '../etc' },
      { type: 'ack', commandIds: ['x'] },
      { type: 'ack', commandIds: Array(10_001).fill(COMMAND) },
    ])
      expect(refused(bad).code).to.equal('bad_message')
  })

  it('never makes the decoder throw, whatever arrives', () => {
    const types = fc.constantFrom(...Object.keys(agentFrames), ...Object.keys(serverFrames))
    const garbage = fc.oneof(
      fc.string({ unit: anyCharacter }),
      fc.json({ maxDepth: 3 }),
      fc
        .tuple(
          types,
          fc.dictionary(
            fc.constantFrom('sessionId', 'items', 'generation', 'capacity', 'desired', 'error'),
            fc.jsonValue({ maxDepth: 2 }),
          ),
        )
        .map(([type, fields]) => JSON.stringify({ ...fields, type })),
    )
    fc.assert(
      fc.property(garbage, (data) => {
        for (const decode of [decodeAgentFrame, decodeServerFrame]) {
          const decoded: E.Either<FrameError, unknown> = decode(data)
          if (E.isRight(decoded)) continue
          expect(errorCodes).to.include(decoded.left.code)
          expect(decoded.left.message.isWellFormed()).to.equal(true)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('nested without end is refused like any other', () => {
    expect(refused('['.repeat(100_000)).code).to.equal('bad_frame')
    const nested = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`
    expect(refused(`{"type":"hello","labels":${nested}}`).code).to.equal('bad_message')
    const container = decodeServerFrame(JSON.stringify(command).replace('"process"', `"container":${nested},"process"`))
    expect(E.isLeft(container)).to.equal(true)
  })

  it('is read as it was encoded', () => {
    const items = fc.array(
      fc.record({
        sessionId: fc.uuid().map((id) => id as SessionId),
        generation: fc.nat(),
        status: fc.constantFrom('starting', 'running', 'hibernated', 'stopped', 'failed'),
        message: fc.option(fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll('\u0000', ''))),
      }),
      { maxLength: 3 },
    )
    fc.assert(
      fc.property(items, fc.boolean(), (given, final) => {
        const frame = { type: 'inventory', items: given, final } as const
        expect(right(decodeAgentFrame(encodeFrame(frame)))).to.deep.equal(frame)
      }),
      { numRuns: 50 },
    )
  })
})

describe('text from an agent', () => {
  const message = (text: string) => {
    const frame = said({ ...status, message: text })
    return frame.type === 'status' ? frame.message : expect.fail('no status')
  }

  it('has what PostgreSQL cannot hold replaced, so that one frame never spoils a batch', () => {
    expect(message('a\u0000b')).to.equal('a\ufffdb')
    expect(message('a\ud800b')).to.equal('a\ufffdb')
    expect(message('\udc00')).to.equal('\ufffd')
    expect(message('fine 😀\n')).to.equal('fine 😀\n')
  })

  it('is cut where it is too long, never to half a character', () => {
    expect(message('x'.repeat(5_000))).to.have.length(4_096)
    expect(message(`${'x'.repeat(4_095)}😀`)).to.equal(`${'x'.repeat(4_095)}\ufffd`)
  })

  it('is storable wherever it comes, whatever it was', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('\u0000', '\ud83d', '\ude00', 'a', '😀'), maxLength: 90 }),
        (text) => {
          const frame = said({ ...status, message: text, reason: text, lastOutput: text, node: text, exitSignal: text })
          for (const value of Object.values(frame))
            if (typeof value === 'string') {
              expect(value.isWellFormed()).to.equal(true)
              expect(value).not.to.include('\u0000')
            }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('is made storable in labels too, whose names are cut short', () => {
    expect(said({ ...hello, labels: { 'a\u0000': 'x' } })).to.deep.equal({ ...hello, labels: { 'a\ufffd': 'x' } })
    expect(said({ ...hello, labels: { ['n'.repeat(70)]: 'x' } })).to.deep.equal({
      ...hello,
      labels: { ['n'.repeat(63)]: 'x' },
    })
    expect(said({ ...hello, labels: { a: 'x\u0000' } })).to.deep.equal({ ...hello, labels: { a: 'x\ufffd' } })
  })
})

describe('the hash of an inventory', () => {
  const item = (n: number, generation: number, state: InventoryItem['status']) => ({
    sessionId: `00000000-0000-0000-0000-00000000000${n}` as SessionId,
    generation,
    status: state,
  })
  const text = (items: Parameters<typeof inventoryText>[0]) => [...inventoryText(items)].join('')
  const hash = (items: Parameters<typeof inventoryText>[0]) => createHash('sha256').update(text(items)).digest('hex')

  it('is taken over sorted lines without an end of line', () => {
    expect(text([item(2, 7, 'stopped'), item(1, 10, 'running')])).to.equal(
      '00000000-0000-0000-0000-000000000001:10:running\n00000000-0000-0000-0000-000000000002:7:stopped',
    )
    expect(text([])).to.equal('')
  })

  it('is that of any other program', () => {
    expect(hash([])).to.equal('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(hash([item(1, 1, 'running')])).to.equal('5a86b9d00f15dd0f6bfbe6f31173191c925ab03a4a83a6c9fc6a01416cea20d2')
    expect(hash([item(2, 7, 'stopped'), item(1, 10, 'running')])).to.equal(
      '5f62a8549463c46f1b63d8044aad1aebae2c98948738763ff6ecf89ececfab19',
    )
  })

  it('is the same of many, which come in pieces', () => {
    const many = Array.from({ length: 1_300 }, (_, n) => ({
      sessionId: `00000000-0000-0000-0000-${String((n * 7_919) % 100_000).padStart(12, '0')}` as SessionId,
      generation: n,
      status: 'running' as const,
    }))
    const lines = many.map(({ sessionId, generation, status }) => `${sessionId}:${generation}:${status}`)
    expect(text(many)).to.equal(lines.sort().join('\n'))
    expect([...inventoryText(many)].length).to.be.greaterThan(1)
  })

  it('does not depend on the order in which sessions are told', () => {
    const items = [item(1, 1, 'running'), item(2, 2, 'failed'), item(3, 3, 'starting'), item(4, 4, 'hibernated')]
    fc.assert(
      fc.property(fc.shuffledSubarray(items, { minLength: 4 }), (shuffled) => {
        expect(text(shuffled)).to.equal(text(items))
      }),
      { numRuns: 20 },
    )
  })
})

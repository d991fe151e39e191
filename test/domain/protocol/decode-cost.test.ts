import { expect } from 'chai'
import { decodeAgentFrame, MAX_FRAME_BYTES } from '../../../agents/protocol.ts'

/** The largest frames there are, made to be as much work as possible. Limits are far above what is usual (a few ms). */
describe('the cost of a frame', () => {
  const filled = (head: string, part: string, tail: string): string =>
    head + part.repeat(Math.floor((MAX_FRAME_BYTES - head.length - tail.length) / part.length)).replace(/,$/, '') + tail
  const uuid = '"01900000-0000-7000-8000-000000000000",'
  const deep = Math.floor((MAX_FRAME_BYTES - 60) / 2)

  const frames: { readonly [what: string]: string } = {
    'arrays in arrays': `{"type":"ack","commandIds":[],"x":${'['.repeat(deep)}${']'.repeat(deep)}}`,
    'objects in objects': `{"type":"hello","labels":${'{"a":'.repeat(deep / 3)}1${'}'.repeat(deep / 3)}}`,
    'more ids than an ack may have': filled('{"type":"ack","commandIds":[', uuid, ']}'),
    'ids that are none': filled('{"type":"ack","commandIds":[', '1,'.repeat(100), ']}')
      .slice(0, 20_000)
      .replace(/,?$/, ']}'),
    'an inventory of nothing that is right': filled(
      '{"type":"inventory","final":true,"items":[',
      '{"generation":-1},',
      ']}',
    ),
    'labels without end': filled('{"type":"hello","labels":{', `"${'k'.repeat(20)}":"v",`, '}}'),
    'names that differ': `{"type":"hello","labels":{${Array.from({ length: 80_000 }, (_, n) => `"${n}":1`).join(',')}}}`,
    'a long text of surrogates': `{"type":"status","message":"${'\\ud800'.repeat(150_000)}"}`,
    'a long text to match': `{"type":"hello","agentId":"${'a-'.repeat(500_000)}"}`,
    'a number with many digits': `{"type":"heartbeat","activeSessions":${'9'.repeat(1_000_000)}}`,
    'an address that is looked at': `{"type":"status","endpoint":{"url":"${'a+'.repeat(500_000)}"}}`,
  }

  for (const [what, frame] of Object.entries(frames))
    it(`is bounded, and it is refused or read: ${what}`, () => {
      expect(Buffer.byteLength(frame)).to.be.at.most(MAX_FRAME_BYTES + 200_000)
      const times = Array.from({ length: 3 }, () => {
        const before = process.cpuUsage()
        decodeAgentFrame(frame)
        const { user, system } = process.cpuUsage(before)
        return (user + system) / 1_000
      })
      expect(Math.min(...times), 'ms of processor time').to.be.below(300)
    })

  it('does not depend on what a text contains: brackets in it are no nesting', () => {
    const message = `${'[{"\\'.repeat(20_000)}`
    const decoded = decodeAgentFrame(JSON.stringify({ type: 'degraded', reason: message }))
    expect(decoded).to.deep.include({ _tag: 'Right' })
    const deep = `{"type":"ack","commandIds":[],"x":${'['.repeat(40_000)}${']'.repeat(40_000)}}`
    expect(decodeAgentFrame(deep)).to.deep.include({
      _tag: 'Left',
      left: { code: 'bad_message', message: 'is nested too deeply' },
    })
  })
})

/** What is written of a session on its ConfigMap, and what is believed of what stands there. */
import { expect } from 'chai'
import { anchorOf, recordIn, type SessionRecord, withoutEnvironment } from '../../../agents/kubernetes/record.ts'
import { anchorView } from '../../../agents/kubernetes/views.ts'
import { running } from '../../../agents/runtime/observed.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

const sessionId = aSessionId()
const spec = {
  container: { image: 'busybox:1', user: 1000, env: { A: 'a' } },
  ports: [{ name: 'http', port: 8080, protocol: 'http' }],
  restart: { policy: 'on-failure', maxRetries: 3 },
  probe: { type: 'http', path: '/' },
  kubernetes: { nodeSelector: { a: 'b' } },
} as const
const url = 'http://10.0.0.9:8080/?token=a-secret-token'
const endpoint = { url, host: '10.0.0.9', port: 8080, protocol: 'http', ports: [] }
const record: SessionRecord = {
  version: 1,
  generation: 3,
  desired: withoutEnvironment(target(sessionId, spec as never).desired),
  settled: true,
  phase: 'up',
  start: 2,
  restarts: 4,
  forgiven: 1,
  counted: { 'u-1': 2 },
  address: '10.0.0.9',
  parts: 'digest',
  observed: { ...running(endpoint, 4), namespace: 'ns', podName: 'pod', exitCode: 137, lastOutput: 'the end' },
}
const metadata = { name: 'one', uid: 'u', resourceVersion: '7' }
const written = (change: object) => ({ metadata, data: { record: JSON.stringify({ ...record, ...change }) } })

describe('the record of a session', () => {
  it('has no endpoint, as its links have the access token in them', () => {
    const anchor = anchorOf(sessionId, 'a', record)
    expect(JSON.stringify(anchor)).not.to.include('a-secret-token')
    expect(JSON.parse(anchor.data?.record ?? '').observed).to.include({ status: 'running', endpoint: null })
  })

  it('is read as it was written, and written again as it was read', () => {
    const anchor = anchorOf(sessionId, 'a', record)
    const read = recordIn(anchor)
    expect(read).to.deep.equal({ ...record, observed: { ...record.observed, endpoint: null } })
    // Whether a write whose answer was lost has been taken, and whether something is new to report, is told by the text.
    expect(anchorOf(sessionId, 'a', record).data).to.deep.equal(anchor.data)
    expect(read && anchorOf(sessionId, 'a', read).data).to.deep.equal(anchor.data)
  })

  it('may be one of before digests were kept', () => {
    const { parts: _parts, ...older } = record
    expect(recordIn({ data: { record: JSON.stringify(older) } })).to.include({ generation: 3 })
  })

  it('is not believed when somebody has edited it into what no agent writes, and the last one is remembered', () => {
    const before = anchorView(written({}))
    expect(before).to.deep.include({ damaged: false })
    const { desired, observed } = record
    for (const change of [
      { version: 2 },
      { generation: -1 },
      { generation: 2 ** 50 },
      { generation: 1.5 },
      { generation: '3' },
      { desired: undefined },
      { desired: { ...desired, incarnation: null } },
      { desired: { ...desired, spec: { ...desired.spec, ports: [null] } } },
      { desired: { ...desired, spec: { ...desired.spec, resources: undefined } } },
      { desired: { ...desired, state: 'asleep' } },
      { settled: 'yes' },
      { phase: 'sideways' },
      { start: -1 },
      { start: null },
      { restarts: undefined },
      { forgiven: 'many' },
      { counted: undefined },
      { counted: { 'u-1': -2 } },
      { counted: [1] },
      { address: 7 },
      { parts: {} },
      { observed: null },
      { observed: { ...observed, status: 'fine' } },
      { observed: { ...observed, message: 7 } },
    ]) {
      const view = anchorView(written(change), before)
      expect(view.damaged, JSON.stringify(change)).to.equal(true)
      expect(view.record).to.equal(before.record)
      expect(anchorView(written(change)).record).to.equal(null)
    }
    const short = { metadata, data: { record: '{"version":1,"generation":1,"settled":true,"phase":"up","start":1}' } }
    expect(anchorView(short, before)).to.deep.include({ damaged: true, record: before.record })
    for (const text of ['', 'null', '[]', '7', '"record"', 'not JSON'])
      expect(anchorView({ metadata, data: { record: text } }, before).damaged, text).to.equal(true)
  })
})

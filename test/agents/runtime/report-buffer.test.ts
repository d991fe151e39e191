import { expect } from 'chai'
import type { Frame } from '../../../agents/protocol.ts'
import { createReportBuffer, type Report, type ReportBuffer } from '../../../agents/runtime/report-buffer.ts'
import { aCommand, sessionIdOf } from '../../support/control-plane.ts'

const status = (session: number, generation: number, now: Frame<'status'>['status']): Frame<'status'> => ({
  type: 'status',
  sessionId: sessionIdOf(session),
  generation,
  status: now,
})

const result = (session: number, generation: number): Frame<'result'> => {
  const { commandId, sessionId } = aCommand({ session, generation })
  return { type: 'result', commandId, sessionId, generation, outcome: 'applied' }
}

const takeAll = (buffer: ReportBuffer): Report[] => {
  const all: Report[] = []
  for (let report = buffer.take(); report !== null; report = buffer.take()) all.push(report)
  return all
}

describe('the report buffer', () => {
  it('gives back facts in the order in which they came', () => {
    const buffer = createReportBuffer()
    const facts = [result(1, 1), status(2, 1, 'running'), status(1, 1, 'stopped'), result(3, 4)]
    for (const fact of facts) buffer.put(fact)
    expect(takeAll(buffer)).to.deep.equal(facts)
    expect(buffer.size()).to.equal(0)
  })

  it('keeps only the newest status of a session and generation, at its own place in the order', () => {
    const buffer = createReportBuffer()
    const applied = result(1, 1)
    buffer.put(status(1, 1, 'starting'))
    buffer.put(applied)
    buffer.put(status(1, 1, 'stopped'))
    expect(takeAll(buffer)).to.deep.equal([applied, status(1, 1, 'stopped')])
  })

  it('keeps what is for the history when a newer status takes the place of the one that told it', () => {
    const buffer = createReportBuffer()
    const note = { type: 'projection_edited', message: 'why' }
    buffer.put({ ...status(1, 1, 'running'), note })
    buffer.put(status(1, 1, 'stopped'))
    expect(takeAll(buffer)).to.deep.equal([{ ...status(1, 1, 'stopped'), note }])
  })

  it('keeps the statuses of different generations', () => {
    const buffer = createReportBuffer()
    buffer.put(status(1, 1, 'stopped'))
    buffer.put(status(1, 2, 'running'))
    expect(takeAll(buffer)).to.have.length(2)
  })

  it('keeps one result a command, the last', () => {
    const buffer = createReportBuffer()
    const first = result(1, 1)
    buffer.put(first)
    buffer.put({ ...first, outcome: 'superseded' })
    expect(takeAll(buffer)).to.deep.equal([{ ...first, outcome: 'superseded' }])
  })

  it('is bounded: the oldest statuses go first, results only when there is nothing else', () => {
    const buffer = createReportBuffer(3)
    const results = [result(1, 1), result(2, 1), result(3, 1), result(4, 1)]
    buffer.put(status(1, 1, 'running'))
    buffer.put(status(2, 1, 'running'))
    for (const each of results) buffer.put(each)
    expect(buffer.size()).to.equal(3)
    expect(takeAll(buffer)).to.deep.equal(results.slice(1))
  })
})

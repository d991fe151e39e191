import { expect } from 'chai'
import type { AgentFrame, Frame } from '../../../agents/protocol.ts'
import { createOutflow } from '../../../agents/runtime/outflow.ts'
import type { Held } from '../../../agents/runtime/platform.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { sessionIdOf } from '../../support/control-plane.ts'
import { eventually } from '../../support/eventually.ts'
import { scriptedLink } from '../../support/scripted-link.ts'

const holding = (count: number) => {
  const sessions = new Map<SessionId, Held>()
  for (let number = 1; number <= count; number += 1)
    sessions.set(sessionIdOf(number), { generation: 1, observed: { status: 'running' } })
  return {
    sessions,
    held: (id: SessionId): Held | null => sessions.get(id) ?? null,
    inventory: () =>
      [...sessions].map(([sessionId, held]) => ({
        sessionId,
        generation: held.generation,
        status: held.observed.status,
      })),
  }
}

const status = (session: number, now: Frame<'status'>['status'] = 'running'): Frame<'status'> => ({
  type: 'status',
  sessionId: sessionIdOf(session),
  generation: 1,
  status: now,
})

const types = (frames: readonly AgentFrame[]): string[] => frames.map((frame) => frame.type)

describe('the outflow', () => {
  it('sends what was kept, then whether the platform is degraded, then the inventory', () => {
    const outflow = createOutflow(holding(1))
    const link = scriptedLink()
    outflow.report(status(1))
    outflow.degraded('disk full')
    outflow.open(link)
    expect(types(link.sent)).to.deep.equal(['status', 'degraded', 'inventory'])
  })

  it('says nothing of what is there while the platform cannot know it, and all of it as soon as it does', () => {
    let adopted = false
    const outflow = createOutflow({ ...holding(1), adopted: () => adopted })
    const link = scriptedLink()
    outflow.degraded('the engine is not there')
    outflow.open(link)
    outflow.requestInventory('asked')
    outflow.report(status(1))
    expect(types(link.sent)).to.deep.equal(['degraded', 'status'])
    adopted = true
    outflow.degraded(null)
    expect(types(link.sent).slice(2)).to.deep.equal(['degraded', 'inventory', 'inventory'])
    expect(link.sent.at(-1)).to.include({ requestId: 'asked' })
  })

  it('passes facts straight on when the link is fast', () => {
    const outflow = createOutflow(holding(0))
    const link = scriptedLink()
    outflow.open(link)
    outflow.report(status(1))
    outflow.report(status(1, 'stopped'))
    expect(types(link.sent)).to.deep.equal(['inventory', 'status', 'status'])
  })

  it('keeps facts while the link is slow, only the newest of each, and goes on when it has caught up', () => {
    const outflow = createOutflow(holding(0))
    const link = scriptedLink()
    outflow.open(link)
    link.congestAfter(1)
    for (const now of ['starting', 'running', 'failed', 'stopped'] as const) outflow.report(status(1, now))
    expect(link.sent.slice(1)).to.deep.equal([status(1, 'starting')])
    link.catchUp()
    expect(link.sent.slice(1)).to.deep.equal([status(1, 'starting'), status(1, 'stopped')])
  })

  it('stops an inventory on a slow link and reads the rest of it when it goes on', async () => {
    const platform = holding(1_200)
    const outflow = createOutflow(platform)
    const link = scriptedLink()
    link.congestAfter(1)
    outflow.open(link)
    outflow.report(status(1_100, 'stopped'))
    platform.sessions.set(sessionIdOf(1_100), { generation: 1, observed: { status: 'stopped' } })
    expect(types(link.sent)).to.deep.equal(['inventory'])
    link.catchUp()
    await eventually(() => expect(types(link.sent)).to.deep.equal(['inventory', 'status', 'inventory', 'inventory']))
    const items = link.sent.flatMap((frame) => (frame.type === 'inventory' ? frame.items : []))
    expect(items).to.have.length(1_200)
    expect(items.find((item) => item.sessionId === sessionIdOf(1_100))?.status).to.equal('stopped')
  })

  it('lets facts through between the pages of a large inventory', async () => {
    const outflow = createOutflow(holding(1_200))
    const link = scriptedLink()
    outflow.open(link)
    outflow.report(status(1))
    await eventually(() => expect(types(link.sent).filter((type) => type === 'inventory')).to.have.length(3))
    expect(types(link.sent)[1]).to.equal('status')
  })

  it('answers each request for an inventory once, one after another, and no interval on top of one', async () => {
    const outflow = createOutflow(holding(600))
    const link = scriptedLink()
    outflow.open(link)
    outflow.requestInventory('a')
    outflow.requestInventory(null)
    outflow.requestInventory('b')
    outflow.requestInventory('a')
    const told = (): (string | undefined)[] =>
      link.sent.flatMap((frame) => (frame.type === 'inventory' && frame.final ? [frame.requestId] : []))
    await eventually(() => expect(told()).to.deep.equal([undefined, 'a', 'b']))
  })

  it('drops a hint for which there is no link or no room', () => {
    const outflow = createOutflow(holding(0))
    const link = scriptedLink()
    const hint = { type: 'activity', sessionId: sessionIdOf(1), lastActivityAt: '2026-01-01T00:00:00Z' } as const
    outflow.hint(hint)
    outflow.open(link)
    link.congestAfter(0)
    outflow.hint(hint)
    link.catchUp()
    outflow.hint(hint)
    expect(types(link.sent)).to.deep.equal(['inventory', 'activity'])
  })

  it('begins its inventory anew on the next link', async () => {
    const outflow = createOutflow(holding(1_200))
    const [first, second] = [scriptedLink(), scriptedLink()]
    outflow.open(first)
    first.close()
    outflow.close()
    outflow.open(second)
    await eventually(() => expect(second.sent).to.have.length(3))
    expect(first.sent).to.have.length(1)
    const items = second.sent.flatMap((frame) => (frame.type === 'inventory' ? frame.items : []))
    expect(items).to.have.length(1_200)
  })
})

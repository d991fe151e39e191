import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { Frame, WireObserved } from '../../../agents/protocol.ts'
import { encodeFrame } from '../../../agents/protocol.ts'
import { heartbeatFrame } from '../../../agents/runtime/heartbeat.ts'
import { type InventoryPages, inventoryHash, inventoryPages } from '../../../agents/runtime/inventory.ts'
import type { Held } from '../../../agents/runtime/platform.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { sessionIdOf } from '../../support/control-plane.ts'

const running: WireObserved = { status: 'running' }

const holding = (count: number, observed: WireObserved = running) => {
  const sessions = new Map<SessionId, Held>()
  for (let number = 1; number <= count; number += 1) sessions.set(sessionIdOf(number), { generation: number, observed })
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

const rest = (pages: InventoryPages): Frame<'inventory'>[] => {
  const all: Frame<'inventory'>[] = []
  for (let page = pages.next(); page !== null; page = pages.next()) all.push(page)
  return all
}

const ids = (pages: readonly Frame<'inventory'>[]): string[] =>
  pages.flatMap((page) => page.items.map((item) => item.sessionId))

describe('the inventory', () => {
  it('is one final page when nothing is held', () => {
    expect(rest(inventoryPages(holding(0), null))).to.deep.equal([{ type: 'inventory', items: [], final: true }])
  })

  it('goes out in pages of at most 500, of which only the last is final', () => {
    const pages = rest(inventoryPages(holding(1_201), 'r-1'))
    expect(pages.map((page) => page.items.length)).to.deep.equal([500, 500, 201])
    expect(pages.map((page) => page.final)).to.deep.equal([false, false, true])
    expect(new Set(pages.map((page) => page.requestId))).to.deep.equal(new Set(['r-1']))
    expect(new Set(ids(pages)).size).to.equal(1_201)
  })

  it('makes the last full page the final one', () => {
    expect(rest(inventoryPages(holding(1_000), null)).map((page) => page.final)).to.deep.equal([false, true])
  })

  it('keeps every page far below the size at which a server closes the socket', () => {
    const wordy: WireObserved = {
      status: 'failed',
      message: '\u0001'.repeat(9_000),
      lastOutput: '\u0001'.repeat(9_000),
    }
    const pages = rest(inventoryPages(holding(300, wordy), null))
    for (const page of pages) expect(Buffer.byteLength(encodeFrame(page))).to.be.below(512 * 1024)
    expect(ids(pages)).to.have.length(300)
  })

  it('reads each page when it is sent: what changed, vanished or appeared meanwhile is told as it is then', () => {
    const platform = holding(1_000)
    const pages = inventoryPages(platform, null)
    const first = pages.next()
    platform.sessions.set(sessionIdOf(900), { generation: 4_000, observed: { status: 'stopped' } })
    platform.sessions.delete(sessionIdOf(901))
    platform.sessions.set(sessionIdOf(5_000), { generation: 1, observed: running })
    const later = rest(pages)
    expect(first?.final).to.equal(false)
    expect(later.at(-1)?.final).to.equal(true)
    const items = later.flatMap((page) => page.items)
    expect(items.find((item) => item.sessionId === sessionIdOf(900))).to.include({
      generation: 4_000,
      status: 'stopped',
    })
    expect(items.map((item) => item.sessionId)).to.not.include(sessionIdOf(901))
    expect(items.map((item) => item.sessionId)).to.include(sessionIdOf(5_000))
  })

  it('says why a session is as it is', () => {
    const observed: WireObserved = { status: 'failed', reason: 'exited_early', exitCode: 3, podName: 'not told here' }
    const [page] = rest(inventoryPages(holding(1, observed), null))
    expect(page?.items).to.deep.equal([
      { sessionId: sessionIdOf(1), generation: 1, status: 'failed', reason: 'exited_early', exitCode: 3 },
    ])
  })
})

describe('the inventory hash', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

  it('is that of the empty string when nothing is held', () => {
    expect(inventoryHash([])).to.equal(sha256(''))
  })

  it('is taken over sorted lines, whatever the order of the platform', () => {
    const [a, b] = [sessionIdOf(1), sessionIdOf(2)]
    const expected = sha256(`${a}:7:running\n${b}:3:stopped`)
    expect(
      inventoryHash([
        { sessionId: b, generation: 3, status: 'stopped' },
        { sessionId: a, generation: 7, status: 'running' },
      ]),
    ).to.equal(expected)
  })
})

describe('a heartbeat', () => {
  it('counts what runs or starts, and carries the hash of the inventory', () => {
    const platform = holding(2)
    platform.sessions.set(sessionIdOf(3), { generation: 1, observed: { status: 'starting' } })
    platform.sessions.set(sessionIdOf(4), { generation: 1, observed: { status: 'stopped' } })
    const at = new Date('2026-01-01T00:00:00Z')
    expect(heartbeatFrame(platform, at, null)).to.deep.equal({
      type: 'heartbeat',
      at: '2026-01-01T00:00:00.000Z',
      activeSessions: 3,
      inventoryHash: inventoryHash(platform.inventory()),
    })
  })
})

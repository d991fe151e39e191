import { expect } from 'chai'
import fc from 'fast-check'
import { closeCodes } from '../../../agents/protocol.ts'
import { backoffCeiling, defaultBackoff, fullJitter } from '../../../agents/runtime/backoff.ts'
import {
  type Ending,
  endingToTell,
  LONGEST_ASKED_MS,
  parseRetryAfter,
  REPLACED_MS,
  retryDelay,
} from '../../../agents/runtime/reconnect.ts'

const limits = { baseMs: 500, capMs: 30_000 }
const almostOne = 1 - Number.EPSILON
const closed = (code: number): Ending => ({ kind: 'closed', code, reason: '' })
const refused = (status: number, retryAfterMs: number | null = null): Ending => ({
  kind: 'refused',
  status,
  retryAfterMs,
})

describe('full-jitter backoff', () => {
  it('has a ceiling that doubles from half a second to thirty', () => {
    expect([0, 1, 2, 3, 6, 7, 2_000].map((attempt) => backoffCeiling(attempt))).to.deep.equal([
      500, 1_000, 2_000, 4_000, 30_000, 30_000, 30_000,
    ])
  })

  it('spreads waits over everything between zero and the ceiling', () => {
    expect(fullJitter(2, 0)).to.equal(0)
    expect(fullJitter(2, 0.5)).to.equal(1_000)
    expect(fullJitter(2, almostOne)).to.equal(1_999)
  })

  it('never leaves its bounds', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: almostOne, noNaN: true }), (attempt, random) => {
        const delay = fullJitter(attempt, random)
        expect(delay).to.be.within(0, defaultBackoff.capMs)
        expect(Number.isInteger(delay)).to.equal(true)
      }),
    )
  })
})

describe('the wait before the next try', () => {
  it('is what a bye asks for', () => {
    expect(retryDelay({ kind: 'bye', reason: 'restart', reconnectAfterMs: 1_234 }, 0, 0.9, limits)).to.equal(1_234)
  })

  it('backs away from a server that says bye again and again', () => {
    expect(retryDelay({ kind: 'bye', reason: 'restart', reconnectAfterMs: 0 }, 3, 0.5, limits)).to.equal(2_000)
  })

  it('is at least the Retry-After of a refused upgrade, and spread beyond it', () => {
    expect(retryDelay(refused(503, 7_000), 0, 0, limits)).to.equal(7_000)
    expect(retryDelay(refused(503, 7_000), 0, 0.5, limits)).to.equal(7_250)
  })

  it('is never longer than ten minutes because a server said so', () => {
    expect(retryDelay(refused(503, 86_400_000), 0, 0, limits)).to.equal(LONGEST_ASKED_MS)
    expect(retryDelay({ kind: 'bye', reason: '', reconnectAfterMs: 86_400_000 }, 0, 0, limits)).to.equal(
      LONGEST_ASKED_MS,
    )
  })

  it('is around the cap at once where a person has to mend something', () => {
    for (const ending of [refused(401), refused(404), closed(4001), closed(4002), closed(4004)]) {
      expect(retryDelay(ending, 0, 0, limits)).to.equal(15_000)
      expect(retryDelay(ending, 0, almostOne, limits)).to.be.within(29_999, 30_000)
      expect(endingToTell(ending).level).to.equal('error')
    }
  })

  it('is several seconds after having been replaced, so that two agents of one id do not fight fast', () => {
    expect(retryDelay(closed(closeCodes.replaced), 0, 0, limits)).to.equal(REPLACED_MS)
    expect(endingToTell(closed(closeCodes.replaced)).message).to.contain('another agent')
  })

  it('is plain backoff after silence, a broken socket, or a server that is not there', () => {
    for (const ending of [{ kind: 'silent' }, closed(1006), closed(4008), { kind: 'failed', error: 'x' }] as Ending[]) {
      expect(retryDelay(ending, 1, 0.5, limits)).to.equal(500)
      expect(endingToTell(ending).level).to.equal('warn')
    }
  })
})

describe('Retry-After', () => {
  const now = new Date('2026-01-01T00:00:00Z')

  it('is read as seconds or as a date', () => {
    expect(parseRetryAfter('3', now)).to.equal(3_000)
    expect(parseRetryAfter('Thu, 01 Jan 2026 00:00:09 GMT', now)).to.equal(9_000)
    expect(parseRetryAfter('Thu, 01 Jan 2025 00:00:00 GMT', now)).to.equal(0)
  })

  it('is ignored when missing or unreadable', () => {
    expect(parseRetryAfter(undefined, now)).to.equal(null)
    expect(parseRetryAfter('soon', now)).to.equal(null)
  })
})

/** A home that cannot be made yet. What becomes of homes is tested on a real cluster. */
import { expect } from 'chai'
import { ApiError } from '../../../agents/kubernetes/api.ts'
import { putHome } from '../../../agents/kubernetes/home.ts'
import { nameOf } from '../../../agents/kubernetes/names.ts'
import type { Blueprint } from '../../../agents/kubernetes/parts.ts'
import { lifeOf, type Surroundings } from '../../../agents/kubernetes/session-life.ts'
import { defaults } from '../../../agents/kubernetes/settings.ts'
import { aSessionId } from '../../support/process-agent.ts'

/** What a timer may be early by, as its clock counts whole milliseconds. */
const EARLY_MS = 2

describe('a home whose claim is still going', () => {
  /** Asks for it until `until`, and tells of each time that it is asked for. */
  const ask = (until: number, signal: AbortSignal, asked: () => void) => {
    const sessionId = aSessionId()
    const ownerReferences = [{ uid: 'owner', kind: 'ConfigMap', name: nameOf(sessionId) }]
    const objects = {
      create: async () => {
        asked()
        throw new ApiError('it is there', 409, 'AlreadyExists')
      },
      get: async () => ({ metadata: { uid: 'claim', deletionTimestamp: new Date(), ownerReferences } }),
    }
    const settings = { ...defaults, agentId: 'a' }
    const around = { objects, settings } as unknown as Surroundings
    const container = { home: { sizeMib: 1 } }
    const blueprint = { sessionId, settings, owner: 'owner', start: 1, container } as unknown as Blueprint
    return putHome(around, lifeOf(sessionId), blueprint, { until, signal, waiting: () => {} })
  }

  it('is asked for less and less often', async () => {
    const over = new AbortController()
    const moments: number[] = []
    const answer = await ask(Date.now() + 3_600_000, over.signal, () => {
      if (moments.push(performance.now()) === 4) over.abort()
    })
    expect(answer).to.deep.equal({ kind: 'interrupted' })
    const pauses = moments.slice(1).map((at, index) => at - (moments[index] ?? 0))
    // A busy machine makes them longer, nothing shorter.
    for (const [index, atLeast] of [250, 500, 1_000].entries())
      expect(pauses[index], `pause ${index}`).to.be.at.least(atLeast - EARLY_MS)
  })

  it('is asked for until the start’s time is up', async () => {
    const until = Date.now() + 300
    const answer = await ask(until, new AbortController().signal, () => {})
    expect(answer).to.include({ kind: 'failed', retryable: true })
    expect(Date.now()).to.be.at.least(until)
  })
})

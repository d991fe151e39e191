/** A home that cannot be made yet. What becomes of homes is tested on a real cluster. */
import { expect } from 'chai'
import { ApiError } from '../../../agents/kubernetes/api.ts'
import { putHome } from '../../../agents/kubernetes/home.ts'
import { nameOf } from '../../../agents/kubernetes/names.ts'
import type { Blueprint } from '../../../agents/kubernetes/parts.ts'
import { lifeOf, type Surroundings } from '../../../agents/kubernetes/session-life.ts'
import { defaults } from '../../../agents/kubernetes/settings.ts'
import { aSessionId } from '../../support/process-agent.ts'

describe('a home whose claim is still going', () => {
  it('is asked for less and less often, until the start’s time is up', async () => {
    const sessionId = aSessionId()
    const ownerReferences = [{ uid: 'owner', kind: 'ConfigMap', name: nameOf(sessionId) }]
    let asked = 0
    const objects = {
      create: async () => {
        asked += 1
        throw new ApiError('it is there', 409, 'AlreadyExists')
      },
      get: async () => ({ metadata: { uid: 'claim', deletionTimestamp: new Date(), ownerReferences } }),
    }
    const settings = { ...defaults, agentId: 'a' }
    const around = { objects, settings } as unknown as Surroundings
    const container = { home: { sizeMib: 1 } }
    const blueprint = { sessionId, settings, owner: 'owner', start: 1, container } as unknown as Blueprint
    const context = { signal: new AbortController().signal, progress: () => {} }
    const answer = await putHome(around, lifeOf(sessionId), blueprint, Date.now() + 2_000, context)
    expect(answer).to.include({ kind: 'failed', retryable: true })
    // At 0, 250, 750, 1 750 and 2 000 ms.
    expect(asked).to.be.within(4, 5)
  })
})

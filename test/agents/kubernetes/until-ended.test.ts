/** Waiting for a session's end, where what is waited for happens while something else is awaited. */
import { expect } from 'chai'
import { lifeOf, type Surroundings } from '../../../agents/kubernetes/session-life.ts'
import { untilEnded } from '../../../agents/kubernetes/until-ended.ts'
import { podView } from '../../../agents/kubernetes/views.ts'
import { aSessionId } from '../../support/process-agent.ts'

describe('waiting for the end of a session on Kubernetes', () => {
  it('is over when its last pod goes while it is being dismissed, though nothing more is heard', async () => {
    const life = lifeOf(aSessionId())
    const pod = podView({
      metadata: { uid: 'p', name: 'pod', deletionTimestamp: new Date() },
      status: { phase: 'Running', containerStatuses: [] },
    })
    life.pods.set('p', { ...pod, ran: true })
    let dismissed = 0
    const objects = {
      dismiss: async () => {
        dismissed += 1
        // The watch is faster than the answer.
        life.pods.clear()
        for (const watcher of [...life.watchers]) watcher()
      },
    }
    const began = performance.now()
    const isSo = (): boolean => life.pods.size === 0
    const signal = new AbortController().signal
    const ended = await untilEnded({ objects } as never as Surroundings, life, { isSo, withinMs: 10_000, signal })
    expect(ended).to.equal('ended')
    expect(dismissed).to.equal(1)
    expect(performance.now() - began).to.be.lessThan(5_000)
  })
})

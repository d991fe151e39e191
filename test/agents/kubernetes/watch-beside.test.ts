/** A kind of objects that the agent can do without. */
import { expect } from 'chai'
import { type Api, ApiError } from '../../../agents/kubernetes/api.ts'
import { createQuotas } from '../../../agents/kubernetes/quotas.ts'
import { watchTimes } from '../../../agents/kubernetes/watch.ts'
import { watchBeside } from '../../../agents/kubernetes/watch-beside.ts'
import { eventually } from '../../support/eventually.ts'

const REFUSED = 'resourcequotas is forbidden: User "a" cannot list resource "resourcequotas" in API group ""'
const backoff = { baseMs: 1, capMs: 1 }

describe('quotas that may not be read', () => {
  it('keep nobody waiting, are told once with what to apply, and are read when that was done', async () => {
    let asked = 0
    let isAllowed = false
    const quota = { metadata: { uid: 'q', resourceVersion: '1' }, spec: { hard: { pods: '3' } } }
    const api: Api = {
      call: async () => {
        asked += 1
        if (!isAllowed) throw new ApiError(REFUSED, 403, 'Forbidden')
        return { metadata: { resourceVersion: '1' }, items: [quota] } as never
      },
      lines: (_path, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
      calls: () => asked,
    }
    const warned: object[] = []
    const log = {
      debug: () => {},
      info: () => {},
      warn: ((it: object) => void warned.push(it)) as never,
      error: () => {},
    }
    const quotas = createQuotas()
    const about = { api, namespace: 'ns', log, times: watchTimes }
    const { synced, stop } = watchBeside(about, { ...quotas.watched, backoff })
    await synced
    await eventually(() => expect(asked).to.be.greaterThan(5))
    expect(warned).to.have.length(1)
    expect(warned[0]).to.include({ error: REFUSED })
    expect(warned[0]).to.have.property('advice').that.includes('role.yaml')
    expect(quotas.all()).to.deep.equal([])
    isAllowed = true
    await eventually(() => expect(quotas.all()).to.have.length(1))
    await stop()
    expect(warned).to.have.length(1)
  })
})

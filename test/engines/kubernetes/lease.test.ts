/** Which of several replicas of an agent works, on a real API server. */
import { expect } from 'chai'
import { type Api, ApiError } from '../../../agents/kubernetes/api.ts'
import { holdLease, type Tenure } from '../../../agents/kubernetes/lease.ts'
import { objectsIn } from '../../../agents/kubernetes/objects-client.ts'
import { eventually } from '../../support/eventually.ts'
import {
  kubernetesCluster,
  needsKubernetes,
  START_MS,
  type TestNamespace,
  testNamespace,
} from '../../support/kubernetes-cluster.ts'

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const times = { durationMs: 1_000, renewMs: 200, giveUpMs: 700 }

describe('the lease among replicas of the Kubernetes agent', function () {
  this.timeout(30_000)
  let api: Api
  let namespace: TestNamespace
  const over = new AbortController()
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    const cluster = await kubernetesCluster()
    api = cluster.api
    namespace = await testNamespace(cluster)
  })
  after(async () => {
    over.abort()
    await namespace?.close()
  })

  const apply = (name: string, holder: string, through: Api = api) =>
    holdLease(objectsIn(through, namespace.name), { name, holder }, over.signal, quiet, times)

  it('is held by one, and by the next at once when it is given back', async () => {
    const first = await apply('given-back', 'one')
    let second: Tenure | null = null
    const waiting = apply('given-back', 'two').then((tenure) => {
      second = tenure
    })
    await eventually(async () => {
      const lease = await api.call<{ spec: { renewTime: string } }>({
        method: 'GET',
        path: `/apis/coordination.k8s.io/v1/namespaces/${namespace.name}/leases/given-back`,
      })
      expect(Date.now() - Date.parse(lease.spec.renewTime)).to.be.lessThan(times.durationMs)
      expect(second).to.equal(null)
    })
    await first?.release()
    await waiting
    expect(second).not.to.equal(null)
    await (second as Tenure | null)?.release()
  })

  it('is given up by one that cannot renew it, before another takes it', async () => {
    let isCut = false
    const cut: Api = {
      ...api,
      call: (asked) => (isCut ? Promise.reject(new ApiError('cut off', 0, '')) : api.call(asked)),
    }
    const first = await apply('cut-off', 'one', cut)
    let lostAt = 0
    void first?.lost.then(() => {
      lostAt = performance.now()
    })
    isCut = true
    const cutAt = performance.now()
    const second = await apply('cut-off', 'two')
    const takenAt = performance.now()
    expect(lostAt, 'the first one has stopped').to.be.greaterThan(0)
    expect(takenAt).to.be.greaterThan(lostAt)
    expect(takenAt - cutAt).to.be.lessThan(times.durationMs * 3)
    await first?.release()
    await second?.release()
  })
})

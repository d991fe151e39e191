/** Which of several replicas of an agent works, on a real API server. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Api, ApiError } from '../../../agents/kubernetes/api.ts'
import { holdLease, type Tenure } from '../../../agents/kubernetes/lease.ts'
import { runKubernetesAgent } from '../../../agents/kubernetes/main.ts'
import { objectsIn } from '../../../agents/kubernetes/objects-client.ts'
import { eventually } from '../../support/eventually.ts'
import { faultyProxy } from '../../support/faulty-proxy.ts'
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
  this.timeout(120_000)
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

  it('is told of in true words: whether another has taken it, or the agent could not begin', async () => {
    const stateDir = await mkdtemp(join(tmpdir(), 'lease-'))
    const proxy = await faultyProxy((await kubernetesCluster()).kubeconfig)
    const lostBy = async (agentId: string, disturb: () => Promise<void>): Promise<string> => {
      const lost = Promise.withResolvers<string>()
      const agent = {
        url: 'http://127.0.0.1:1',
        agentId,
        token: 'none',
        version: 'test',
        stateDir: join(stateDir, agentId),
      }
      const kubernetes = { agentId, kubeconfig: proxy.kubeconfig, namespace: namespace.name }
      const running = await runKubernetesAgent({ agent, kubernetes }, quiet, lost.resolve)
      try {
        await disturb()
        return await lost.promise
      } finally {
        await running.stop('leave')
      }
    }
    try {
      const taken = await lostBy('taken', async () => {
        const lease = `/apis/coordination.k8s.io/v1/namespaces/${namespace.name}/leases/streamspace-agent-taken`
        await eventually(() => api.call({ method: 'GET', path: lease }))
        const body = JSON.stringify({ spec: { holderIdentity: 'another' } })
        await api.call({ method: 'PATCH', path: lease, contentType: 'application/merge-patch+json', body })
      })
      expect(taken).to.include('another replica has taken the lease')
      const body = JSON.stringify({ message: 'configmaps is forbidden' })
      proxy.answerInstead = ({ path }) => (path.includes('/configmaps') ? { status: 403, body } : null)
      const refused = await lostBy('refused', async () => {})
      expect(refused)
        .to.include('could not be started')
        .and.include('configmaps is forbidden')
        .and.not.include('another')
    } finally {
      await proxy.close()
      await rm(stateDir, { recursive: true, force: true })
    }
  })
})

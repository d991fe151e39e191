/** A session's record that somebody deletes without what it owns (`kubectl delete --cascade=orphan`). */
import type { V1ConfigMap } from '@kubernetes/client-node'
import { expect } from 'chai'
import { pathOf } from '../../../agents/kubernetes/kinds.ts'
import { nameOf } from '../../../agents/kubernetes/names.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { kinds, kubernetesCluster, needsKubernetes, START_MS } from '../../support/kubernetes-cluster.ts'
import { target } from '../../support/process-agent.ts'
import { type WatchedAgent, watchedAgent } from '../../support/watched-agent.ts'
import { IDLE, program } from '../conformance/kubernetes.ts'

const LEFT = 'without what it owned: delete the Deployment'

describe('a record that is deleted without what it owns', function () {
  this.timeout(120_000)
  let agent: WatchedAgent
  let behind: WatchedAgent
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    const cluster = await kubernetesCluster()
    agent = await watchedAgent(cluster)
    behind = await watchedAgent(cluster, { agentId: 'behind', beside: agent.namespace })
  })
  after(async () => {
    await behind?.close()
    await agent?.close()
  })

  /** As `kubectl delete --cascade=orphan` does; the cluster has gone all its way when it resolves. */
  const orphaned = async (id: SessionId): Promise<void> => {
    await agent.namespace.remove(kinds.configMap, nameOf(id), '?propagationPolicy=Orphan')
    await eventually(async () => {
      const records = await agent.namespace.list<V1ConfigMap>(kinds.configMap)
      expect(records.map(({ metadata }) => metadata?.name)).not.to.include(nameOf(id))
    })
  }
  const removeParts = async (id: SessionId): Promise<void> => {
    for (const kind of [kinds.deployment, kinds.service, kinds.secret, kinds.claim, kinds.networkPolicy])
      await agent.namespace.remove(kind, nameOf(id))
  }

  it('is no end: what is left is named, and runs no more', async () => {
    const id = await agent.running(program(IDLE))
    await orphaned(id)
    const ask = () => agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))
    await eventually(async () => {
      const refused = await ask()
      expect(refused).to.include({ kind: 'failed', code: 'platform_error', retryable: true })
      expect(refused).to.have.property('message').that.includes(LEFT)
    })
    expect((await agent.deployment(id)).spec?.replicas).to.equal(0)
    await removeParts(id)
    await eventually(async () => expect(await ask()).to.deep.equal({ kind: 'applied', observed: null }))
  })

  it('is told, too, where the session is asked to go while its record goes', async () => {
    const id = await agent.running(program(IDLE))
    const held = (finalizers: readonly string[] | null) =>
      agent.patch(kinds.configMap, nameOf(id), { metadata: { finalizers } })
    await held(['streamspace.test/held'])
    await agent.namespace.remove(kinds.configMap, nameOf(id), '?propagationPolicy=Orphan')
    await eventually(async () => expect((await agent.deployment(id)).metadata?.ownerReferences ?? []).to.deep.equal([]))
    const asked = agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))
    await held(null)
    expect(await asked)
      .to.have.property('message')
      .that.includes(LEFT)
    expect((await agent.deployment(id)).spec?.replicas).to.equal(0)
    await removeParts(id)
  })

  it('has no Deployment taken away with it where the watch of records is behind', async () => {
    const id = await behind.running(program(IDLE))
    const { proxy } = behind
    proxy.silence(kinds.configMap.plural)
    proxy.asked.length = 0
    await orphaned(id)
    const record = pathOf(kinds.configMap, agent.namespace.name, nameOf(id))
    const answers = () => proxy.asked.filter(({ method, path }) => method === 'GET' && path === record)
    // It hears that the record goes, or is gone.
    await eventually(() => expect(answers().some(({ status }) => status !== null)).to.equal(true))
    proxy.cut()
    const ask = () => behind.apply(target(id, {}, { generation: 2, state: 'deleted' }))
    await eventually(async () => {
      const refused = await ask()
      expect(refused).to.have.property('message').that.includes(LEFT)
    })
    expect((await agent.deployment(id)).metadata?.ownerReferences ?? []).to.deep.equal([])
    await removeParts(id)
    await eventually(async () => expect(await ask()).to.deep.equal({ kind: 'applied', observed: null }))
  })
})

/** An API server that is killed and comes back, with its history forgotten or not. It is the test's own, and has no node. */
import { expect } from 'chai'
import { nameOf } from '../../../agents/kubernetes/names.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { kinds } from '../../support/kubernetes-cluster.ts'
import { type ControlPlane, controlPlane, needsControlPlane } from '../../support/own-control-plane.ts'
import { type WatchedAgent, watchedAgent, watching } from '../../support/watched-agent.ts'

describe('an API server that is killed and comes back', function () {
  this.timeout(120_000)
  let cluster: ControlPlane
  let agent: WatchedAgent
  before(async function () {
    needsControlPlane.call(this)
    cluster = await controlPlane()
    agent = await watchedAgent(cluster)
  })
  after(async () => {
    await agent?.close()
    await cluster?.close()
  })
  const scale = (id: SessionId, replicas: number) => agent.patch(kinds.deployment, nameOf(id), { spec: { replicas } })
  const removed = (id: SessionId) => agent.namespace.remove(kinds.configMap, nameOf(id))
  const putBack = (id: SessionId) =>
    eventually(async () => expect((await agent.deployment(id)).spec?.replicas).to.equal(0))
  const forgotten = (id: SessionId) => eventually(() => expect(agent.item(id)).to.equal(undefined))

  it('is told of, with why; what is changed afterwards is seen', async () => {
    const [scaled, deleted] = await Promise.all([agent.ended(), agent.ended()])
    await cluster.killServer()
    await eventually(() => expect(agent.degraded).to.have.length(1))
    expect(agent.degraded[0]).to.include('does not answer')
    const killedAt = performance.now()
    await cluster.startServer()
    const readyAt = performance.now()
    await Promise.all([scale(scaled, 1), removed(deleted)])
    await eventually(() => expect(agent.degraded).to.deep.equal([agent.degraded[0], null]))
    const recoveredAt = performance.now()
    await Promise.all([putBack(scaled), forgotten(deleted)])
    console.log(
      `      away for ${Math.round(readyAt - killedAt)} ms, recovered ${Math.round(recoveredAt - readyAt)} ms after`,
    )
    await watching(agent)
  })

  it('has forgotten what was: everything is listed anew, and what was deleted meanwhile is gone', async () => {
    const [scaled, deleted, kept] = await Promise.all([agent.ended(), agent.ended(), agent.ended()])
    agent.logged.length = 0
    agent.proxy.isAway = true
    agent.proxy.cut()
    await Promise.all([scale(scaled, 1), removed(deleted)])
    await eventually(async () => {
      const anchors = await agent.namespace.list<{ metadata: { name: string } }>(kinds.configMap)
      expect(anchors.map(({ metadata }) => metadata.name)).not.to.include(nameOf(deleted))
    })
    await cluster.compact()
    // What the server remembers by itself goes with it.
    await cluster.killServer()
    await cluster.startServer()
    agent.proxy.isAway = false
    await Promise.all([putBack(scaled), forgotten(deleted)])
    expect(agent.item(kept)).to.include({ status: 'failed' })
    expect(agent.logged.some((line) => line.includes('too old'))).to.equal(true)
  })
})

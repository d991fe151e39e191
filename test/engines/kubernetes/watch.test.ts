/**
 * The agent's watches on a real API server, through a proxy that cuts, silences and answers in its place. What is changed
 * meanwhile is noticed afterwards: nothing is lost, nothing happens twice.
 */
import { expect } from 'chai'
import { nameOf } from '../../../agents/kubernetes/names.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type KubernetesCluster,
  kinds,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
} from '../../support/kubernetes-cluster.ts'
import { aSessionId, observedOf, target } from '../../support/process-agent.ts'
import {
  WATCHES,
  type WatchedAgent,
  type WatchedAgentOptions,
  watchedAgent,
  watching,
} from '../../support/watched-agent.ts'
import { program } from '../conformance/kubernetes.ts'

describe('the watches of the Kubernetes agent', function () {
  this.timeout(120_000)
  let cluster: KubernetesCluster
  /** Patient: on a busy machine a cut may take seconds, of which nothing is to be said. */
  let agent: WatchedAgent
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    agent = await watchedAgent(cluster, { degradedAfterMs: 60_000, times: { steadyMs: 200 } })
  })
  beforeEach(async () => {
    agent.proxy.reset()
    await watching(agent)
    agent.reports.length = 0
  })
  after(() => agent?.close())

  const scale = (id: SessionId, replicas: number) => agent.patch(kinds.deployment, nameOf(id), { spec: { replicas } })
  const removed = (id: SessionId) => agent.namespace.remove(kinds.configMap, nameOf(id))
  /** Put back where nothing is to run: a Deployment that was scaled by hand. */
  const putBack = (id: SessionId) =>
    eventually(async () => expect((await agent.deployment(id)).spec?.replicas).to.equal(0))
  const forgotten = (id: SessionId, by = agent) => eventually(() => expect(by.item(id)).to.equal(undefined))
  /** Another, beside it, that says after a second and a half that something is wrong. */
  const besides = async (
    agentId: string,
    times: WatchedAgentOptions['times'],
    work: (other: WatchedAgent) => Promise<void>,
  ): Promise<void> => {
    const other = await watchedAgent(cluster, { agentId, beside: agent.namespace, times: { steadyMs: 200, ...times } })
    try {
      await work(other)
    } finally {
      await other.close()
    }
  }

  it('ask for bookmarks, and are all that an idle agent has open', async () => {
    await Promise.all([agent.ended(), agent.ended(), agent.ended()])
    const watches = agent.proxy.openWatches()
    expect(watches.every((path) => path.includes('allowWatchBookmarks=true'))).to.equal(true)
    const calls = agent.platform.calls()
    agent.proxy.reset()
    const idleUntil = performance.now() + 10_000
    await eventually(() => expect(performance.now()).to.be.greaterThan(idleUntil), { within: 60_000 })
    expect(agent.proxy.asked.filter(({ watch }) => !watch)).to.deep.equal([])
    expect(agent.platform.calls()).to.equal(calls)
  })

  it('go on where they were when all connections are cut: what was changed meanwhile is seen, and once', async () => {
    const [scaled, deleted] = await Promise.all([agent.ended(), agent.ended()])
    agent.proxy.isAway = true
    agent.proxy.cut()
    await Promise.all([scale(scaled, 1), removed(deleted)])
    agent.proxy.isAway = false
    agent.proxy.cut()
    agent.proxy.asked.length = 0
    await Promise.all([putBack(scaled), forgotten(deleted)])
    expect(listsIn(agent), 'lists').to.deep.equal([])
    // A write that the Deployment's controller was faster than is refused, and made once more.
    const writes = agent.proxy.asked.filter(({ method, status }) => method !== 'GET' && status === 200)
    expect(writes.map(({ method, path }) => `${method} ${path.split('?')[0]?.split('/').at(-1)}`)).to.deep.equal([
      `PATCH ${nameOf(scaled)}`,
    ])
    expect(agent.degraded).to.deep.equal([])
  })

  it('that are silent are opened anew in time, and nothing is lost', () =>
    besides('impatient', { silenceMs: 2_000 }, async (other) => {
      const [scaled, deleted] = await Promise.all([other.ended(), other.ended()])
      await watching(other)
      other.proxy.asked.length = 0
      other.proxy.silence()
      await Promise.all([scale(scaled, 1), removed(deleted)])
      await Promise.all([putBack(scaled), forgotten(deleted, other)])
      expect(listsIn(other), 'lists').to.deep.equal([])
    }))

  it('list anew when their place is too old, said in the middle of a watch: what was deleted meanwhile is gone', async () => {
    const [scaled, deleted, kept] = await Promise.all([agent.ended(), agent.ended(), agent.ended()])
    agent.proxy.silence()
    await Promise.all([scale(scaled, 1), removed(deleted)])
    await anchorGone(agent, deleted)
    const status = { kind: 'Status', code: 410, message: 'too old resource version: 1 (2)', reason: 'Expired' }
    for (const plural of ['configmaps', 'deployments', 'pods', 'events'])
      await eventually(() =>
        expect(agent.proxy.inject(plural, `${JSON.stringify({ type: 'ERROR', object: status })}\n`)).to.equal(true),
      )
    await Promise.all([putBack(scaled), forgotten(deleted)])
    expect(listsIn(agent)).to.include('configmaps').and.to.include('deployments')
    expect(agent.item(kept)).to.include({ status: 'failed' })
    expect(agent.degraded).to.deep.equal([])
  })

  it('list anew when their place is too old, said at once, in pages; a page that fails begins the list again', async () => {
    const [scaled, deleted, kept] = await Promise.all([agent.ended(), agent.ended(), agent.ended()])
    agent.proxy.rewrite = (path) => path.replace('limit=500', 'limit=1')
    let broken = 0
    const gone = new Set<string>()
    agent.proxy.answerInstead = ({ watch, path }) => {
      const [kind = ''] = path.split('?')
      if (watch && !gone.has(kind)) {
        gone.add(kind)
        return { status: 410 }
      }
      if (path.includes('continue=') && broken++ < 2) return { status: 410 }
      return null
    }
    agent.proxy.isAway = true
    agent.proxy.cut()
    await Promise.all([scale(scaled, 1), removed(deleted)])
    await anchorGone(agent, deleted)
    agent.proxy.isAway = false
    await Promise.all([putBack(scaled), forgotten(deleted)])
    expect(broken, 'pages').to.be.greaterThan(2)
    expect(agent.item(kept)).to.include({ status: 'failed' })
  })

  it('do not hurry when their place is always too old', async () => {
    agent.proxy.answerInstead = ({ watch }) => (watch ? { status: 410 } : null)
    agent.proxy.cut()
    const until = performance.now() + 2_000
    await eventually(() => expect(performance.now()).to.be.greaterThan(until))
    expect(agent.proxy.asked.length).to.be.lessThan(60)
  })

  it('live with lines that are no changes', async () => {
    const scaled = await agent.ended()
    await watching(agent)
    const lines = [
      '{"type":"MODIFIED","object":{"metadata":{"na\n',
      '\n',
      'no JSON\n',
      'null\n',
      '{"type":"ADDED"}\n',
      '{"type":"MODIFIED","object":{"metadata":{"name":"x","resourceVersion":"not a version"}}}\n',
      `{"type":"ADDED","object":{"metadata":{"name":"${nameOf(aSessionId())}","labels":7}}}\n`,
      '{"type":"ADDED","object":{"metadata":{"name":7}}}\n',
    ]
    for (const line of lines)
      for (const plural of ['configmaps', 'deployments', 'pods', 'events'])
        await eventually(() => expect(agent.proxy.inject(plural, line), line).to.equal(true))
    // Endless, without a line's end: not kept in memory for ever.
    await eventually(() => expect(agent.proxy.inject('deployments', 'x'.repeat(9 * 2 ** 20))).to.equal(true))
    await scale(scaled, 1)
    await putBack(scaled)
    await watching(agent)
    expect(agent.item(scaled)).to.include({ status: 'failed' })
  })

  it('do not hurry when the server refuses them, wait as long as it asks, and say so', () =>
    besides('refused', {}, async (other) => {
      const scaled = await other.ended()
      other.proxy.answerInstead = ({ watch }) => (watch ? { status: 429, headers: { 'retry-after': '2' } } : null)
      other.proxy.cut()
      await eventually(() => expect(other.degraded).to.have.length(1))
      expect(other.degraded[0]).to.be.a('string')
      await scale(scaled, 1)
      const refusals = () =>
        Object.values(
          Object.groupBy(
            other.proxy.asked.filter(({ status }) => status === 429),
            ({ path }) => path.split('?')[0] ?? '',
          ),
        )
      await eventually(() => {
        const again = refusals().filter((those) => (those?.length ?? 0) > 1)
        expect(again).to.have.length.of.at.least(WATCHES)
      })
      // However busy the machine is: each is asked for again after two seconds, and not before.
      for (const [first, ...others] of refusals().map((those) => those ?? []))
        others.reduce((before, next) => {
          expect(next.at - before).to.be.at.least(1_990)
          return next.at
        }, first?.at ?? 0)
      other.proxy.answerInstead = () => null
      await eventually(() => expect(other.degraded.at(-1)).to.equal(null))
      expect(other.degraded).to.have.length(2)
      await putBack(scaled)
    }))

  it('say that the server is away, with why, and recover by themselves', () =>
    besides('away', {}, async (other) => {
      const scaled = await other.ended()
      other.proxy.isAway = true
      other.proxy.cut()
      await eventually(() => expect(other.degraded).to.have.length(1))
      expect(other.degraded[0]).to.include('does not answer')
      await scale(scaled, 1)
      other.proxy.isAway = false
      await eventually(() => expect(other.degraded).to.deep.equal([other.degraded[0], null]))
      await putBack(scaled)
    }))

  it('see each ending of a pod once, though they were cut while it ended', async () => {
    const id = aSessionId()
    const spec = { ...program('exec sleep 1000'), restart: { policy: 'always', maxRetries: 5 } } as never
    expect(observedOf(await agent.apply(target(id, spec)))).to.include({ status: 'running', restarts: 0 })
    agent.proxy.isAway = true
    agent.proxy.cut()
    const [pod] = await agent.pods(id)
    await agent.namespace.remove(kinds.pod, pod?.metadata?.name ?? '', '?gracePeriodSeconds=0')
    agent.proxy.isAway = false
    await eventually(() => expect(agent.item(id)).to.include({ status: 'running', restarts: 1 }))
    for (let cuts = 0; cuts < 3; cuts += 1) {
      agent.proxy.cut()
      await watching(agent)
    }
    expect(agent.item(id)).to.include({ status: 'running', restarts: 1 })
    expect(agent.reports.filter((one) => one.sessionId === id && one.status === 'running')).to.have.length(1)
  })
})

/** Of which kinds there were lists. */
const listsIn = (agent: WatchedAgent): readonly string[] =>
  agent.proxy.asked
    .filter(({ method, watch, path }) => method === 'GET' && !watch && path.includes('limit='))
    .map(({ path }) => path.split('?')[0]?.split('/').at(-1) ?? '')

const anchorGone = (agent: WatchedAgent, id: SessionId): Promise<void> =>
  eventually(async () => {
    const anchors = await agent.namespace.list<{ metadata: { name: string } }>(kinds.configMap)
    expect(anchors.map(({ metadata }) => metadata.name)).not.to.include(nameOf(id))
  })

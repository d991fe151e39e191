/** An API server that is busy, broken or mute, as a proxy before a real one plays it: what the agent's calls do then. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import type { Applied } from '../../../agents/runtime/platform.ts'
import { eventually } from '../../support/eventually.ts'
import type { AskedOfProxy } from '../../support/faulty-proxy.ts'
import {
  BUSYBOX,
  type KubernetesCluster,
  kinds,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
} from '../../support/kubernetes-cluster.ts'
import { aSessionId, target } from '../../support/process-agent.ts'
import { nowhere, type WatchedAgent, watchedAgent } from '../../support/watched-agent.ts'
import { program } from '../conformance/kubernetes.ts'

/** As `apiLimits` says. */
const [PARALLEL, ATTEMPTS] = [32, 6]

describe('calls of an API server in trouble', function () {
  this.timeout(120_000)
  let cluster: KubernetesCluster
  let agent: WatchedAgent
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    agent = await watchedAgent(cluster)
  })
  beforeEach(() => agent.proxy.reset())
  after(() => agent?.close())

  const spec = { ...nowhere, ports: [{ name: 'http', port: 8080, protocol: 'http' }] } as never
  /** It has come to its end in the cluster, so nothing was refused for good. */
  const wentThrough = (applied: Applied): void =>
    expect(applied, JSON.stringify(applied)).to.have.nested.property('observed.status', 'failed') as never

  it('are tried again after 500 and 503, each a few times', async () => {
    const tries = new Map<string, number>()
    agent.proxy.answerInstead = ({ method, path, watch }) => {
      if (watch || method === 'GET') return null
      const key = `${method} ${path}`
      tries.set(key, (tries.get(key) ?? 0) + 1)
      return (tries.get(key) ?? 0) <= 2 ? { status: tries.size % 2 ? 500 : 503 } : null
    }
    wentThrough(await agent.apply(target(aSessionId(), spec)))
    expect(tries.size).to.be.greaterThan(4)
  })

  it('wait as long as the server asks', async () => {
    let refused: AskedOfProxy | null = null
    let due: Promise<number> | null = null
    agent.proxy.answerInstead = (asked) => {
      if (asked.watch || asked.method !== 'POST' || refused !== null) return null
      refused = asked
      due = wait(2_000).then(() => performance.now())
      return { status: 429, headers: { 'retry-after': '2' } }
    }
    wentThrough(await agent.apply(target(aSessionId(), spec)))
    const [first, second] = agent.proxy.asked.filter(({ method, path }) => method === 'POST' && path === refused?.path)
    expect((second?.at ?? 0) - (first?.at ?? 0)).to.be.at.least(1_990)
    // Of how long this process had to wait for its own turn nothing is to be said.
    expect((second?.at ?? 0) - ((await due) ?? 0)).to.be.at.most(1_000)
  })

  it('end after some tries, in the server’s words, and what was asked may be asked again', async () => {
    agent.proxy.answerInstead = ({ method }) => (method === 'POST' ? { status: 500 } : null)
    const id = aSessionId()
    expect(await agent.apply(target(id, spec))).to.deep.include({
      kind: 'failed',
      code: 'platform_error',
      retryable: true,
      message: 'as the test says',
    })
    expect(agent.proxy.asked.filter(({ method }) => method === 'POST')).to.have.length(ATTEMPTS)
    agent.proxy.reset()
    wentThrough(await agent.apply(target(id, spec)))
  })

  it(`are ${PARALLEL} at a time, however many sessions are started`, async () => {
    const all = Array.from({ length: 30 }, () => target(aSessionId(), spec))
    for (const applied of await Promise.all(all.map((one) => agent.apply(one)))) wentThrough(applied)
    console.log(`      30 starts: ${agent.proxy.mostAtOnce()} calls at a time, ${agent.proxy.asked.length} in all`)
    expect(agent.proxy.mostAtOnce()).to.be.within(8, PARALLEL)
  })

  it('of which the answer is lost are not made twice', async () => {
    const id = aSessionId()
    const lost = new Set<string>()
    agent.proxy.loseAnswer = ({ method, path }) => {
      const key = `${method} ${path}`
      if (method === 'GET' || lost.has(key)) return false
      lost.add(key)
      return true
    }
    wentThrough(await agent.apply(target(id, spec)))
    expect(lost.size).to.be.greaterThan(5)
    const deleted = await agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))
    expect(deleted).to.deep.equal({ kind: 'applied', observed: null })
  })

  it('that are refused by a quota until the start timeout end the session with what the quota says', async () => {
    await agent.create(kinds.quota, { metadata: { name: 'none' }, spec: { hard: { pods: '0' } } })
    try {
      await eventually(async () => {
        const brief = { ...program('exec sleep 1000'), startTimeoutSeconds: 2 }
        const applied = await agent.apply(target(aSessionId(), brief))
        expect(applied).to.include({ kind: 'failed', code: 'quota_exceeded', retryable: false })
        expect(applied).to.have.property('message').that.includes('pods=0')
      })
      expect(await agent.platform.capacity(), 'what the agent takes').to.include({ maxSessions: 0 })
    } finally {
      await agent.namespace.remove(kinds.quota, 'none')
    }
    await eventually(async () => expect(await agent.platform.capacity()).to.include({ maxSessions: 250 }))
  })

  it('that are refused by a quota begin as soon as it allows them', async () => {
    await agent.create(kinds.quota, { metadata: { name: 'full' }, spec: { hard: { pods: '0' } } })
    const told: string[] = []
    const progress = (reason: string): void => void told.push(reason)
    const asked = agent.platform.apply(target(aSessionId(), program('exec sleep 1000')), {
      signal: new AbortController().signal,
      progress,
    })
    try {
      await eventually(() => expect(told).to.include('quota_exceeded'))
    } finally {
      await agent.namespace.remove(kinds.quota, 'full')
    }
    const applied = await asked
    expect(applied, JSON.stringify(applied)).to.include({ kind: 'applied' })
  })

  it('that are refused by a quota for what is no pod are told as that, too, without advice on rights', async () => {
    await agent.create(kinds.quota, { metadata: { name: 'homeless' }, spec: { hard: { persistentvolumeclaims: '0' } } })
    try {
      await eventually(async () => {
        const applied = await agent.apply(target(aSessionId(), nowhere as never))
        expect(applied).to.include({ kind: 'failed', code: 'quota_exceeded', retryable: false })
        expect(applied).to.have.property('message').that.includes('homeless').and.not.includes('role.yaml')
      })
    } finally {
      await agent.namespace.remove(kinds.quota, 'homeless')
    }
  })

  it('do not keep the agent from ending in time, though the server is mute', async () => {
    const other = await watchedAgent(cluster, { agentId: 'mute', beside: agent.namespace })
    other.proxy.isMute = true
    other.proxy.cut()
    const applying = other.apply(
      target(aSessionId(), { ...program('true'), container: { image: BUSYBOX, user: 1000 } }),
    )
    await eventually(() => expect(other.proxy.asked.some(({ method }) => method === 'POST')).to.equal(true))
    const since = performance.now()
    await other.platform.close()
    expect(performance.now() - since).to.be.lessThan(5_000)
    expect(await applying).to.deep.equal({ kind: 'interrupted' })
    await other.close()
  })
})

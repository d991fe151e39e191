/** Sessions on a real Kubernetes: many at a time in each test, as a kubelet counts in seconds. */

import type { KubernetesObject, V1Deployment, V1PersistentVolumeClaim, V1Pod } from '@kubernetes/client-node'
import { expect } from 'chai'
import { START } from '../../../agents/kubernetes/names.ts'
import type { WireSpec } from '../../../agents/protocol.ts'
import type { AgentProcess } from '../../support/agent-process.ts'
import { eventually } from '../../support/eventually.ts'
import { kinds, kubernetesCluster, needsKubernetes, START_MS } from '../../support/kubernetes-cluster.ts'
import { aSessionId, observedOf, target } from '../../support/process-agent.ts'
import { kubernetesPlace } from '../conformance/kubernetes.ts'
import { itemOf, killedForMemory, served } from '../conformance/subject.ts'

describe('sessions on Kubernetes', function () {
  this.timeout(120_000)
  let place: Awaited<ReturnType<typeof kubernetesPlace>>
  let agent: AgentProcess
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    place = await kubernetesPlace(await kubernetesCluster())
    agent = await place.agent()
  })
  after(() => place?.close())

  const server = (script = 'true') => place.server(`echo once >>starts; ${script}; echo hello >index.html`)
  const script = (text: string, more: Partial<WireSpec> = {}) => ({ ...place.script(text), ...more })

  it('run, answer at their endpoint, and are deleted with everything', async () => {
    const id = aSessionId()
    const running = observedOf(await agent.apply(target(id, server())))
    expect(running).to.include({ status: 'running', node: 'test-node', serviceName: `session-${id}` })
    expect(running?.imageDigest).to.match(/^sha256:/)
    expect(await served(running, 'index.html')).to.equal('hello\n')
    expect(await place.left()).to.include(`PersistentVolumeClaim session-${id}`)
    expect(await agent.apply(target(id, {}, { generation: 4, state: 'deleted' }))).to.deep.include({ observed: null })
    expect((await place.left()).filter((name) => name.includes(id))).to.deep.equal([])
  })

  it('end as their programs end, in words that say what to do', async () => {
    const apply = async (spec: Partial<WireSpec>) => agent.apply(target(aSessionId(), spec))
    const mute = { ports: [{ name: 'http', port: 8080 }] }
    const [well, badly, greedy, silent, absent, wrong, big] = await Promise.all([
      apply(script('exit 0', mute)),
      apply(script('echo why it ended; exit 3', mute)),
      killedForMemory(async () => {
        const answer = await apply(
          script('a=x; while true; do a=$a$a; done', { ...mute, resources: { cpuMillis: 500, memoryMib: 16 } }),
        )
        return { answer, observed: observedOf(answer) }
      }, 3),
      apply(script('exec sleep 1000', { ...mute, startTimeoutSeconds: 10 })),
      apply({ container: { image: 'registry.invalid/no/such:image', user: 1000 }, startTimeoutSeconds: 20 }),
      apply({
        container: { image: 'docker.io/library/busybox:1.36', command: ['no-such-program'], user: 1000 },
        startTimeoutSeconds: 60,
      }),
      apply(
        script('exec sleep 1000', { startTimeoutSeconds: 20, resources: { cpuMillis: 100, memoryMib: 4_000_000 } }),
      ),
    ])
    expect(well).to.deep.include({ kind: 'applied' })
    expect(observedOf(well ?? { kind: 'interrupted' })).to.include({
      status: 'stopped',
      reason: 'exited_early',
      exitCode: 0,
    })
    expect(badly).to.include({ kind: 'failed', code: 'exited_early', retryable: false })
    expect(badly).to.have.nested.property('observed.lastOutput').that.includes('why it ended')
    expect(greedy?.answer, JSON.stringify(greedy)).to.include({ code: 'out_of_memory' })
    expect(silent).to.include({ code: 'start_timeout' })
    expect(absent, JSON.stringify(absent)).to.include({ code: 'image_pull_failed' })
    expect(wrong, JSON.stringify(wrong)).to.have.nested.property('observed.exitCode', 127)
    expect(big).to.include({ code: 'unschedulable' })
    expect(big).to.have.property('message').that.includes('Insufficient memory')
  })

  it('are rejected with why when they ask for what pods here are not given', async () => {
    for (const [container, why] of [
      [{ image: 'Not An Image' }, 'not the name of an image'],
      [{ image: 'busybox', user: 0 }, 'may not run as root'],
      [{ image: 'busybox', security: { capabilities: ['NET_RAW'] } }, 'NET_BIND_SERVICE only'],
      [{ image: 'busybox', mounts: [{ hostPath: '/etc', path: '/x' }] }, 'is not allowed here'],
    ] as const) {
      const answer = await agent.apply(target(aSessionId(), { container } as never))
      expect(answer, JSON.stringify(answer)).to.include({ kind: 'rejected' })
      expect(answer).to.have.property('message').that.includes(why)
    }
  })

  it('removed from outside are noticed within two seconds, and repaired where their policy says so', async () => {
    const [never, always, pod] = [aSessionId(), aSessionId(), aSessionId()]
    const kept = { ...server(), restart: { policy: 'always', maxRetries: 5 } } as const
    await Promise.all([
      agent.apply(target(never, server())),
      agent.apply(target(always, kept)),
      agent.apply(target(pod, kept)),
    ])
    await Promise.all([place.removeWorkload(never), place.removeWorkload(always), removePodOf(pod)])
    const failed = await agent.reported(never, ({ status }) => status === 'failed', 2_000)
    expect(failed).to.include({ reason: 'removed_outside' })
    const repaired = await itemOf(
      agent,
      always,
      ({ status, restarts }) => status === 'running' && restarts === 1,
      60_000,
    )
    expect(await served(repaired, 'starts')).to.equal('once\nonce\n')
    await itemOf(agent, pod, ({ status, restarts }) => status === 'running' && restarts === 1, 60_000)
  })

  it('whose record somebody deletes lose everything with it, and are begun anew with an empty home', async function () {
    this.timeout(180_000)
    const id = aSessionId()
    // A kubelet of 1.20 may keep what has ended for a minute.
    const spec = { ...server(), restart: { policy: 'always' }, startTimeoutSeconds: 150 } as const
    await agent.apply(target(id, spec))
    await place.namespace.remove(kinds.configMap, `session-${id}`)
    // What is deleted of it is still going, and its claim waits for the pod. Asked again, as the server does, when told to.
    let answer = await agent.apply(target(id, spec, { generation: 2 }))
    while (answer.kind === 'failed' && answer.code === 'taken_over')
      answer = await agent.apply(target(id, spec, { generation: 2 }))
    expect(answer, JSON.stringify(answer)).to.include({ kind: 'applied' })
    const anew = observedOf(answer)
    expect(anew).to.include({ status: 'running' })
    expect(await served(anew, 'starts')).to.equal('once\n')
    const claims = await place.namespace.list<V1PersistentVolumeClaim>(kinds.claim)
    const home = claims.find(({ metadata }) => metadata?.name === `session-${id}`)
    expect(home?.metadata?.deletionTimestamp, 'the home it has will not be taken away').to.equal(undefined)
  })

  it('take over nothing that an earlier session has left: it is on its way out, whoever owns it', async () => {
    const id = aSessionId()
    const name = `session-${id}`
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name, uid: '00000000-0000-4000-8000-000000000000' }
    const finalizers = ['streamspace.test/held']
    const left = { name, annotations: { [START]: '1' }, ownerReferences: [owner], finalizers }
    const parts = [kinds.secret, kinds.service, kinds.networkPolicy]
    const bodies = [{}, { spec: { ports: [{ port: 80 }] } }, { spec: { podSelector: {} } }]
    for (const [at, kind] of parts.entries()) {
      await place.namespace.create(kind, { metadata: left, ...bodies[at] })
      await place.namespace.remove(kind, name)
    }
    const already = agent.progress.length
    const asked = agent.apply(target(id, server()))
    await eventually(() =>
      expect(agent.progress.slice(already).join('\n')).to.include('waiting for what was deleted of it to be gone'),
    )
    for (const kind of parts) await place.namespace.patch(kind, name, { metadata: { finalizers: null } })
    const running = observedOf(await asked)
    expect(running).to.include({ status: 'running' })
    // Its Service is so new that the node may not lead there yet: whoever else is on the way of its address may answer instead.
    await eventually(async () => expect(await served(running, 'index.html')).to.equal('hello\n'))
    for (const kind of parts) {
      const there = await place.namespace.list<KubernetesObject>(kind)
      const part = there.find(({ metadata }) => metadata?.name === name)
      expect(part?.metadata?.ownerReferences?.[0]?.uid, kind.kind).to.not.equal(owner.uid)
      expect(part?.metadata?.deletionTimestamp, kind.kind).to.equal(undefined)
    }
    await agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))
  })

  it('whose Deployment is deleted in the foreground wait for its end, and are repaired', async () => {
    const id = aSessionId()
    await agent.apply(target(id, { ...server(), restart: { policy: 'always', maxRetries: 5 } }))
    await place.namespace.remove(kinds.deployment, `session-${id}`, '?propagationPolicy=Foreground')
    await itemOf(agent, id, ({ status, restarts }) => status === 'running' && restarts === 1, 60_000)
  })

  it('whose Secret was deleted get another access token, never an empty one', async () => {
    const id = aSessionId()
    const first = await place.agent({ agentId: 'agent-c' })
    await first.apply(target(id, server()))
    await first.kill9()
    await place.namespace.remove(kinds.secret, `session-${id}`)
    const second = await place.agent({ agentId: 'agent-c' })
    await itemOf(second, id, ({ status }) => status === 'running')
    const restarted = observedOf(await second.apply(target(id, server(), { generation: 2, incarnation: 1 })))
    expect(new URL(restarted?.endpoint?.url ?? '').searchParams.get('token')).to.have.lengthOf.above(20)
    await second.close()
  })

  it('have their access token in their Secret alone, also when they are restarted', async () => {
    const id = aSessionId()
    const first = observedOf(await agent.apply(target(id, server())))
    const again = observedOf(await agent.apply(target(id, server(), { generation: 2, incarnation: 1 })))
    const tokens = [first, again].map((one) => new URL(one?.endpoint?.url ?? '').searchParams.get('token') ?? '')
    for (const token of tokens) expect(token).to.have.lengthOf.above(20)
    const stopped = target(id, server(), { generation: 3, incarnation: 1, state: 'stopped' })
    const texts = [JSON.stringify(await place.namespace.list(kinds.configMap))]
    expect(texts[0]).to.include(id)
    await agent.apply(stopped)
    texts.push(JSON.stringify(await place.namespace.list(kinds.configMap)))
    for (const text of texts) for (const token of tokens) expect(text).not.to.include(token)
  })

  it('are started again as often as their policy says, then failed', async () => {
    const id = aSessionId()
    const failing = script('echo once >>starts; sleep 1; exit 7', { restart: { policy: 'on-failure', maxRetries: 1 } })
    await agent.apply(target(id, failing))
    const item = await itemOf(agent, id, ({ status }) => status === 'failed', 60_000)
    expect(item).to.include({ reason: 'restart_limit', exitCode: 7, restarts: 1 })
  })

  it('are taken over by a new agent without being touched', async () => {
    const [running, resting] = [aSessionId(), aSessionId()]
    const first = await place.agent({ agentId: 'agent-b' })
    const before = observedOf(await first.apply(target(running, server(), { generation: 7 })))
    await first.apply(target(resting, server(), { generation: 4 }))
    await first.apply(target(resting, server(), { generation: 5, state: 'stopped' }))
    await first.kill9()
    const second = await place.agent({ agentId: 'agent-b' })
    // At once: what the server is told first must not take the endpoint away for a moment.
    const item = await second.inventoryOf(running)
    expect(item).to.deep.include({ status: 'running', generation: 7, endpoint: before?.endpoint })
    expect(await second.inventoryOf(resting)).to.include({ status: 'stopped', generation: 5 })
    expect(await served(item ?? null, 'starts')).to.equal('once\n')
    await second.close()
  })

  const removePodOf = async (id: string): Promise<void> => {
    const { namespace } = place
    const pods = await namespace.list<V1Pod>(kinds.pod)
    for (const { metadata } of pods) if (metadata?.name?.includes(id)) await namespace.remove(kinds.pod, metadata.name)
  }
})

describe('a deployment that somebody scales by hand', function () {
  this.timeout(120_000)
  before(needsKubernetes)
  it('is put back where the restart policy says so', async () => {
    const cluster = await kubernetesCluster()
    const place = await kubernetesPlace(cluster)
    try {
      const agent = await place.agent()
      const id = aSessionId()
      await agent.apply(target(id, { ...place.server('true'), restart: { policy: 'always' } }))
      await cluster.api.call({
        method: 'PATCH',
        path: `/apis/apps/v1/namespaces/${place.namespace.name}/deployments/session-${id}`,
        contentType: 'application/merge-patch+json',
        body: JSON.stringify({ spec: { replicas: 0 } }),
      })
      await eventually(async () => {
        const [deployment] = await place.namespace.list<V1Deployment>(kinds.deployment)
        expect(deployment?.spec?.replicas).to.equal(1)
      })
    } finally {
      await place.close()
    }
  })
})

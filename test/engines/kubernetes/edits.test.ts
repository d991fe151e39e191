/**
 * What somebody edits of a session's objects is put back or judged: no session is lost, nothing of one outlives it, and
 * what is somebody else's is left alone.
 */
import type { KubernetesObject, V1ConfigMap, V1Deployment, V1Pod } from '@kubernetes/client-node'
import { expect } from 'chai'
import { AGENT_LABEL, labelsOf, nameOf, SESSION_LABEL, STAMP, START } from '../../../agents/kubernetes/names.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  BUSYBOX,
  type KubernetesCluster,
  kinds,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
} from '../../support/kubernetes-cluster.ts'
import { aSessionId, observedOf, target } from '../../support/process-agent.ts'
import { nowhere, type WatchedAgent, watchedAgent } from '../../support/watched-agent.ts'
import { IDLE, program } from '../conformance/kubernetes.ts'

const NO_LABELS = { metadata: { labels: { [AGENT_LABEL]: null, [SESSION_LABEL]: null } } }
const OTHER_AGENT = { metadata: { labels: { [AGENT_LABEL]: 'other' } } }

describe('objects of sessions that somebody edits', function () {
  this.timeout(120_000)
  let cluster: KubernetesCluster
  let agent: WatchedAgent
  let other: WatchedAgent
  const openedAlso: WatchedAgent[] = []
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    agent = await watchedAgent(cluster)
    other = await watchedAgent(cluster, { agentId: 'other', beside: agent.namespace })
  })
  after(async () => {
    for (const one of openedAlso) await one.close()
    await other?.close()
    await agent?.close()
  })

  const openedBeside = async (agentId: string): Promise<WatchedAgent> => {
    const one = await watchedAgent(cluster, { agentId, beside: agent.namespace })
    openedAlso.push(one)
    return one
  }
  const running = (more: object = {}, by = agent): Promise<SessionId> => by.running({ ...program(IDLE), ...more })
  const labelled = async (kind: typeof kinds.configMap | typeof kinds.deployment, id: SessionId): Promise<void> => {
    await eventually(async () => {
      const { metadata } = await agent.get<KubernetesObject>(kind, nameOf(id))
      expect(metadata?.labels).to.include(labelsOf(id, 'watched'))
    })
  }
  /** To be deleted at the end, side by side, as a kubelet takes its time. */
  const edited: { readonly by: WatchedAgent; readonly id: SessionId }[] = []
  /** Nothing of it is left in the cluster, whoever's label it has. */
  const deleted = async ({ by, id }: (typeof edited)[number]): Promise<void> => {
    expect(await by.apply(target(id, {}, { generation: 100, state: 'deleted' }))).to.deep.equal({
      kind: 'applied',
      observed: null,
    })
    const all = [kinds.configMap, kinds.deployment, kinds.pod, kinds.secret, kinds.service, kinds.claim]
    for (const kind of all) {
      const left = await agent.namespace.list<KubernetesObject>(kind)
      expect(
        left.filter(({ metadata }) => metadata?.name?.startsWith(nameOf(id))),
        kind.kind,
      ).to.deep.equal([])
    }
  }

  for (const [what, change] of [
    ['removed', NO_LABELS],
    ['given to another agent', OTHER_AGENT],
  ] as const)
    it(`whose labels are ${what} get them back, and the session goes on`, async () => {
      const id = await running()
      const [pod] = await agent.pods(id)
      await agent.patch(kinds.configMap, nameOf(id), change)
      await labelled(kinds.configMap, id)
      await agent.patch(kinds.deployment, nameOf(id), change)
      await labelled(kinds.deployment, id)
      expect(agent.item(id)).to.include({ status: 'running', restarts: 0 })
      expect((await agent.pods(id)).map(({ metadata }) => metadata?.uid)).to.deep.equal([pod?.metadata?.uid])
      expect(other.item(id)).to.equal(undefined)
      edited.push({ by: agent, id })
    })

  it('whose labels were removed while no agent looked are found again', async () => {
    const first = await watchedAgent(cluster, { agentId: 'away', beside: agent.namespace })
    const id = aSessionId()
    const spec = program(IDLE)
    expect(observedOf(await first.apply(target(id, spec)))).to.include({ status: 'running' })
    await first.close()
    const uid = (await agent.pods(id))[0]?.metadata?.uid
    await agent.patch(kinds.configMap, nameOf(id), NO_LABELS)
    await agent.patch(kinds.deployment, nameOf(id), NO_LABELS)
    const back = await openedBeside('away')
    edited.push({ by: back, id })
    expect(back.item(id)).to.include({ generation: 1 })
    await eventually(() => expect(back.item(id)).to.include({ status: 'running', restarts: 0 }))
    expect((await back.pods(id)).map(({ metadata }) => metadata?.uid)).to.deep.equal([uid])
  })

  it('that lose their session’s label as a pod are taken away with it, and replaced by the restart policy', async () => {
    const [never, always] = await Promise.all([
      running({ restart: { policy: 'never' } }),
      running({ restart: { policy: 'always', maxRetries: 5 } }),
    ])
    edited.push({ by: agent, id: never }, { by: agent, id: always })
    const uids: string[] = []
    for (const id of [never, always]) {
      const [pod] = await agent.pods(id)
      uids.push(pod?.metadata?.uid ?? '')
      await agent.patch(kinds.pod, pod?.metadata?.name ?? '', NO_LABELS)
    }
    await eventually(() => expect(agent.item(never)).to.include({ status: 'failed', reason: 'removed_outside' }))
    await eventually(() => expect(agent.item(always)).to.include({ status: 'running', restarts: 1 }))
    await eventually(async () => {
      // An old kubelet keeps one that has ended for up to a minute.
      const pods = await agent.namespace.list<V1Pod>(kinds.pod)
      const staying = pods.filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
      for (const uid of uids) expect(staying.map(({ metadata }) => metadata?.uid)).not.to.include(uid)
    })
  })

  it('that lose the agent’s label or their notes as a pod go on', async () => {
    const id = await running()
    const [pod] = await agent.pods(id)
    const name = pod?.metadata?.name ?? ''
    await agent.patch(kinds.pod, name, { metadata: { labels: { [AGENT_LABEL]: null }, annotations: { [START]: '7' } } })
    await eventually(async () => {
      const { metadata } = await agent.get<V1Pod>(kinds.pod, name)
      expect(metadata?.labels).to.include({ [AGENT_LABEL]: 'watched' })
    })
    await agent.patch(kinds.deployment, nameOf(id), { metadata: { annotations: { [START]: null, [STAMP]: null } } })
    await eventually(async () => expect(agent.item(id)).to.include({ status: 'running', restarts: 0 }))
    edited.push({ by: agent, id })
  })

  it('that are a record are written again when they cannot be read; one that nobody remembers loses no home', async () => {
    const id = await running()
    await agent.patch(kinds.configMap, nameOf(id), { data: { record: 'not JSON' } })
    await eventually(async () => {
      const { data } = await agent.get<V1ConfigMap>(kinds.configMap, nameOf(id))
      expect(JSON.parse(data?.record ?? '')).to.include({ generation: 1, settled: true })
    })
    expect(agent.item(id)).to.include({ status: 'running', generation: 1 })

    const first = await watchedAgent(cluster, { agentId: 'forgetful', beside: agent.namespace })
    const lost = await first.ended()
    const home = await agent.get(kinds.claim, nameOf(lost))
    await first.close()
    await agent.patch(kinds.configMap, nameOf(lost), { data: null })
    const second = await watchedAgent(cluster, { agentId: 'forgetful', beside: agent.namespace })
    try {
      expect(second.item(lost)).to.include({ generation: 0 })
      const stopped = await second.apply(target(lost, {}, { generation: 2, state: 'stopped' }))
      expect(observedOf(stopped), JSON.stringify(stopped)).to.include({ status: 'stopped' })
      expect((await agent.get(kinds.claim, nameOf(lost))).metadata?.uid).to.equal(home.metadata?.uid)
      const again = await second.apply(target(lost, nowhere as never, { generation: 3 }))
      expect(again, JSON.stringify(again)).to.have.nested.property('observed.status', 'failed')
    } finally {
      await second.close()
    }
  })

  it('that are a record are written again when they are no record that an agent writes; no other session notices', async () => {
    const [id, ended, beside] = await Promise.all([running(), agent.ended(), running()])
    const recordOf = async (one: SessionId) =>
      (await agent.get<V1ConfigMap>(kinds.configMap, nameOf(one))).data?.record ?? ''
    const is = agent.item(id)
    const was = agent.item(ended)
    for (const one of [id, ended]) {
      const written = await recordOf(one)
      for (const change of [
        { desired: undefined, counted: undefined, restarts: undefined, observed: undefined },
        { counted: null },
        { phase: 'sideways' },
        { generation: -1 },
        { generation: 2 ** 50 },
      ]) {
        const record = JSON.stringify({ ...JSON.parse(written), phase: 'up', start: 1, ...change })
        await agent.patch(kinds.configMap, nameOf(one), { data: { record } })
        await eventually(async () => expect(await recordOf(one)).to.equal(written))
      }
    }
    expect(agent.item(id)).to.deep.equal(is)
    expect(agent.item(ended)).to.deep.equal(was)
    expect(agent.item(beside)).to.include({ status: 'running', generation: 1 })
    edited.push({ by: agent, id }, { by: agent, id: ended }, { by: agent, id: beside })
  })

  it('that the agent stumbles over do not end it: it says so, and goes on with all others', async () => {
    const id = await agent.ended()
    const written = (await agent.get<V1ConfigMap>(kinds.configMap, nameOf(id))).data?.record ?? ''
    const { observed, ...record } = JSON.parse(written)
    agent.logged.length = 0
    Object.assign(agent.reports, {
      push: () => {
        throw new Error('as if it had not thought of something')
      },
    })
    try {
      const text = JSON.stringify({ ...record, observed: { ...observed, message: 'edited' } })
      await agent.patch(kinds.configMap, nameOf(id), { data: { record: text } })
      await eventually(() => expect(agent.logged).to.include('what was seen of a session could not be answered'))
    } finally {
      Reflect.deleteProperty(agent.reports, 'push')
    }
    expect(agent.item(await agent.ended())).to.include({ status: 'failed' })
  })

  it('that no longer say whose they are go with their session all the same', async () => {
    const id = await running()
    await agent.patch(kinds.deployment, nameOf(id), { metadata: { ownerReferences: null } })
    await eventually(async () => {
      const [owner] = (await agent.deployment(id)).metadata?.ownerReferences ?? []
      expect(owner).to.include({ name: nameOf(id) })
    })
    edited.push({ by: agent, id })
  })

  it('that are scaled to nothing while no agent looks are judged as their policy says', async () => {
    const first = await watchedAgent(cluster, { agentId: 'absent', beside: agent.namespace })
    const start = (policy: 'never' | 'always') => running({ restart: { policy, maxRetries: 1 } }, first)
    const [never, always] = await Promise.all([start('never'), start('always')])
    await first.close()
    for (const id of [never, always]) {
      await agent.patch(kinds.deployment, nameOf(id), { spec: { replicas: 0 } })
      await eventually(async () => expect(await agent.pods(id)).to.deep.equal([]), { within: 90_000 })
    }
    const second = await openedBeside('absent')
    edited.push({ by: second, id: never }, { by: second, id: always })
    await eventually(() => expect(second.item(never)).to.include({ status: 'failed', reason: 'removed_outside' }))
    await eventually(() => expect(second.item(always)).to.include({ status: 'running', restarts: 1 }))
  }).timeout(180_000)

  it('that are scaled to two are put back to one, and its pod goes on', async () => {
    const id = await running()
    const [pod] = await agent.pods(id)
    await eventually(() =>
      expect(Date.now() - Date.parse(String(pod?.metadata?.creationTimestamp))).to.be.greaterThan(1_100),
    )
    await agent.patch(kinds.deployment, nameOf(id), { spec: { replicas: 2 } })
    await eventually(async () => expect((await agent.deployment(id)).spec?.replicas).to.equal(1))
    await eventually(async () => {
      const left = (await agent.pods(id)).filter(({ metadata }) => metadata?.deletionTimestamp === undefined)
      expect(left.map(({ metadata }) => metadata?.uid)).to.deep.equal([pod?.metadata?.uid])
    })
    await eventually(() => expect(agent.item(id)).to.include({ status: 'running', restarts: 0 }))
    edited.push({ by: agent, id })
  })

  it('that are somebody else’s are never touched, whatever their labels say', async () => {
    const id = aSessionId()
    const metadata = { name: nameOf(id), labels: labelsOf(id, 'watched') }
    await agent.create(kinds.deployment, { metadata, spec: foreignSpec(id) })
    const before = await agent.get<V1Deployment>(kinds.deployment, nameOf(id))
    await eventually(async () => expect(await agent.pods(id)).to.have.length(1))
    // It has been seen, as what was done after it has been seen.
    await agent.ended()
    expect(agent.item(id)).to.equal(undefined)
    expect(agent.platform.held(id)).to.equal(null)
    for (const state of ['stopped', 'deleted'] as const)
      await agent.apply(target(id, {}, { generation: 3, state, persistentHome: true }))
    const refused = await agent.apply(target(id, nowhere as never, { generation: 4 }))
    expect(refused).to.include({ kind: 'failed', code: 'platform_error', retryable: false })
    expect(refused)
      .to.have.property('message')
      .that.includes(`there is a Deployment ${nameOf(id)}`)
    const after = await agent.get<V1Deployment>(kinds.deployment, nameOf(id))
    expect(after.spec).to.deep.equal(before.spec)
    expect(after.metadata?.labels).to.deep.equal(before.metadata?.labels)
    expect(after.metadata?.uid).to.equal(before.metadata?.uid)
    expect(after.metadata?.deletionTimestamp).to.equal(undefined)
  })

  it('that have the name of a session’s are left as they are, and the start fails in words that name them', async () => {
    for (const [kind, more] of [
      [kinds.service, { spec: { ports: [{ port: 1 }] } }],
      [kinds.secret, { data: { a: 'YQ==' } }],
      [
        kinds.claim,
        {
          spec: {
            accessModes: ['ReadWriteOnce'],
            resources: { requests: { storage: '1Mi' } },
            storageClassName: 'none',
          },
        },
      ],
      [kinds.configMap, { data: { a: '1' } }],
    ] as const) {
      const id = aSessionId()
      await agent.create(kind, { metadata: { name: nameOf(id) }, ...more })
      const before = await agent.get<KubernetesObject>(kind, nameOf(id))
      const spec = { ...nowhere, ports: [{ name: 'http', port: 80, protocol: 'http' }] }
      const refused = await agent.apply(target(id, spec as never))
      expect(refused, JSON.stringify(refused)).to.include({ kind: 'failed', retryable: false })
      expect(refused)
        .to.have.property('message')
        .that.includes(`there is a ${kind.kind} ${nameOf(id)}`)
      await agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))
      expect(await agent.get(kind, nameOf(id))).to.deep.equal(before)
    }
  })

  it('of two agents in one namespace: each touches only its own', async () => {
    const id = await agent.ended()
    const before = await agent.get(kinds.configMap, nameOf(id))
    expect(other.item(id)).to.equal(undefined)
    const refused = await other.apply(target(id, nowhere as never, { generation: 9 }))
    expect(refused, JSON.stringify(refused)).to.include({ kind: 'failed', retryable: false })
    expect(await other.apply(target(id, {}, { generation: 10, state: 'deleted' }))).to.include({ kind: 'applied' })
    expect(await agent.get(kinds.configMap, nameOf(id))).to.deep.equal(before)
  })

  it('go with their session, whatever was edited: nothing is left', async function () {
    this.timeout(150_000)
    expect(edited.length).to.be.greaterThan(5)
    await Promise.all(edited.map(deleted))
  })
})

const foreignSpec = (id: SessionId): object => ({
  replicas: 1,
  selector: { matchLabels: { [SESSION_LABEL]: id } },
  template: {
    metadata: { labels: labelsOf(id, 'watched') },
    spec: { containers: [{ name: 'theirs', image: BUSYBOX, resources: { requests: { memory: '16000000Mi' } } }] },
  },
})

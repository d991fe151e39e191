/** Sessions and templates as people with kubectl see them, against a real API server. */
import type { V1ConfigMap } from '@kubernetes/client-node'
import { expect } from 'chai'
import { kinds, pathOf } from '../../../agents/kubernetes/kinds.ts'
import { anchorOf, type SessionRecord, withoutEnvironment } from '../../../agents/kubernetes/record.ts'
import { connect, type Transport } from '../../../agents/kubernetes/transport.ts'
import type { Desired, WireSpec } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  BUSYBOX,
  type KubernetesCluster,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
} from '../../support/kubernetes-cluster.ts'
import { aSessionId, observedOf, target } from '../../support/process-agent.ts'
import { type ProjectionPlace, projectionPlace, type Shown, type Watched } from './projection-place.ts'

const SECRET = 'marked-7c1f-never-to-be-seen'
/** What is promised of an edit. */
const PUT_BACK_MS = 5_000

const context = { signal: new AbortController().signal, progress: () => {} }

const server: Partial<WireSpec> = {
  container: {
    image: BUSYBOX,
    command: ['sh', '-c'],
    args: [`trap 'exit 0' TERM; echo ${SECRET}; httpd -f -p 8080 -h "$HOME" & wait`],
    user: 1000,
    env: { OTHER: SECRET },
  },
  ports: [{ name: 'http', port: 8080, protocol: 'http' }],
  env: { PASSWORD: SECRET },
  startTimeoutSeconds: 60,
}

describe('the projection of sessions into the cluster', function () {
  this.timeout(120_000)
  let cluster: KubernetesCluster
  let place: ProjectionPlace
  let agent: Watched
  before(async function () {
    needsKubernetes.call(this)
    this.timeout(START_MS)
    cluster = await kubernetesCluster()
    place = await projectionPlace(cluster)
    agent = await place.agent()
  })
  after(() => place?.close())

  const rowOf = async (id: string) =>
    (await place.table(kinds.session)).find(({ Name }) => Name === `session-${id}`) ?? {}

  const start = async (more: Partial<Desired> = {}): Promise<{ readonly id: SessionId; readonly object: Shown }> => {
    const id = aSessionId()
    await agent.platform.apply(target(id, server, more), context)
    const object = await eventually(async () => {
      const shown = await place.session(id)
      expect(shown?.status).to.include({ status: 'running', ready: true })
      return shown as Shown
    })
    return { id, object }
  }

  it('follows a session from its start to its end, in the columns that kubectl prints', async () => {
    const id = aSessionId()
    const more = { name: 'my desktop', userId: 'user-7', template: { name: 'desktop', version: 3 } }
    const starting = agent.platform.apply(target(id, server, more), context)
    await eventually(async () => expect(await rowOf(id)).to.include({ Status: 'scheduling', Ready: 'False' }))
    const observed = observedOf(await starting)
    const url = String(observed?.endpoint?.url).replace(/\?.*/, '')
    await eventually(async () =>
      expect(await rowOf(id)).to.deep.include({
        Session: 'my desktop',
        Status: 'running',
        Ready: 'True',
        Template: 'desktop',
        User: 'user-7',
        URL: url,
        Node: 'test-node',
      }),
    )
    const [template] = await place.table(kinds.template)
    expect(template).to.include({ Template: 'desktop', Version: 3, Image: BUSYBOX, Sessions: 1 })
    await agent.platform.apply(target(id, server, { ...more, generation: 2, state: 'stopped' }), context)
    await eventually(async () =>
      expect(await rowOf(id)).to.include({ Status: 'stopped', Ready: 'False', Reason: 'by_request', URL: null }),
    )
    expect(await place.session(id)).to.have.nested.property('status.observedGeneration', 2)
    await agent.platform.apply(target(id, server, { ...more, generation: 3, state: 'deleted' }), context)
    await eventually(async () => expect(await place.shown(kinds.session)).to.deep.equal([]), { within: PUT_BACK_MS })
    await eventually(async () => expect(await place.shown(kinds.template)).to.deep.equal([]))
  })

  it('puts back what somebody edits within five seconds, and says so', async () => {
    // Whoever edits one object again and again waits longer each time: three each.
    let { id, object } = await start()
    const edits = [
      [{ spec: { desiredState: 'stopped' } }, '', 'spec.desiredState'],
      [{ status: { status: 'failed', ready: false } }, '/status', 'status.ready, status.status'],
      [{ status: { node: null } }, '/status', 'status.node'],
      [{ metadata: { labels: { 'streamspace.io/session-id': 'x' } } }, '', 'metadata.labels.streamspace.io/session-id'],
      // It is not seen any more then, nor whose doing that was.
      [{ metadata: { labels: { 'streamspace.io/agent': null } } }, '', 'metadata.labels was changed and'],
      [{ metadata: { ownerReferences: null } }, '', 'metadata.ownerReferences'],
    ] as const
    let told = 0
    const edited: SessionId[] = [id]
    for (const [change, at, fields] of edits.slice(0, 5)) {
      if (told === 3) {
        ;({ id, object } = await start())
        edited.push(id)
        told = 0
      }
      await place.edit(kinds.session, `session-${id}`, change, at)
      await eventually(
        async () => {
          const now = await place.session(id)
          expect(now?.spec).to.deep.equal(object.spec)
          expect(now?.status).to.deep.equal(object.status)
          expect(now?.metadata?.labels).to.deep.equal(object.metadata?.labels)
          expect(now?.metadata?.ownerReferences).to.deep.equal(object.metadata?.ownerReferences)
        },
        { within: PUT_BACK_MS },
      )
      told += 1
      const events = await eventually(async () => {
        const all = await place.events(object)
        expect(all).to.have.length(told)
        return all
      })
      const last = events.find(({ message }) => message?.startsWith(fields))
      expect(last, JSON.stringify(events)).to.include({ reason: 'PutBack', type: 'Warning' })
      expect(last?.message).to.include('put back; the database is the truth')
      if (!fields.endsWith(' and')) expect(last?.message).to.include('changed by kubectl-edit')
    }
    const [change, at] = edits[5]
    await place.edit(kinds.session, `session-${id}`, change, at)
    await eventually(
      async () =>
        expect((await place.session(id))?.metadata?.ownerReferences).to.deep.equal(object.metadata?.ownerReferences),
      { within: PUT_BACK_MS },
    )
    const notes = agent.reports.filter(({ sessionId, note }) => sessionId === edited[0] && note !== undefined)
    expect(notes[0]).to.deep.include({ generation: 1, status: 'running' })
    expect(notes[0]?.note).to.include({ type: 'projection_edited' })
    expect(notes[0]?.note?.message).to.include('spec.desiredState was changed by kubectl-edit')
  })

  it('leaves labels and annotations of others alone', async () => {
    const { id } = await start()
    const metadata = { labels: { theirs: 'a' }, annotations: { theirs: 'b' } }
    await place.edit(kinds.session, `session-${id}`, { metadata })
    await agent.platform.apply(target(id, server, { generation: 2, state: 'stopped' }), context)
    const stopped = await eventually(async () => {
      const shown = await place.session(id)
      expect(shown?.status).to.include({ status: 'stopped' })
      return shown as Shown
    })
    expect(stopped.metadata?.labels).to.include({ theirs: 'a' })
    expect(stopped.metadata?.annotations).to.include({ theirs: 'b' })
    expect(await place.events(stopped)).to.deep.equal([])
  })

  it('makes again what somebody deletes within five seconds, and removes what somebody makes', async () => {
    const { id, object } = await start()
    const [template] = await place.shown(kinds.template)
    await place.namespace.remove(kinds.session, `session-${id}`)
    await place.namespace.remove(kinds.template, template?.metadata?.name ?? '')
    const again = await eventually(
      async () => {
        const now = await place.session(id)
        expect(now?.metadata?.uid).to.be.a('string').that.does.not.equal(object.metadata?.uid)
        expect(now?.spec).to.deep.equal(object.spec)
        expect(now?.status).to.deep.equal(object.status)
        const [made] = await place.shown(kinds.template)
        expect(made?.spec).to.deep.equal(template?.spec)
        return now as Shown
      },
      { within: PUT_BACK_MS },
    )
    await eventually(async () =>
      expect((await place.events(again)).map(({ message }) => message).join()).to.include('was deleted'),
    )
    const made = `session-${aSessionId()}`
    await cluster.api.call({
      method: 'POST',
      path: `${pathOf(kinds.session, place.namespace.name)}?fieldManager=kubectl-create`,
      body: JSON.stringify({
        apiVersion: kinds.session.apiVersion,
        kind: kinds.session.kind,
        metadata: { name: made, labels: { 'streamspace.io/agent': 'agent-a' } },
        spec: { name: 'made up' },
      }),
    })
    await eventually(
      async () => expect((await place.shown(kinds.session)).map((one) => one.metadata?.name)).to.not.include(made),
      { within: PUT_BACK_MS },
    )
  })

  it('shows no environment, no command, no output and no access token', async () => {
    const { id, object } = await start()
    const secrets = await place.namespace.list<{ metadata: { name: string }; data: Record<string, string> }>(
      kinds.secret,
    )
    const mine = secrets.find(({ metadata }) => metadata.name === `session-${id}`)
    const token = Buffer.from(mine?.data.STREAMSPACE_ACCESS_TOKEN ?? '', 'base64').toString()
    expect(token).to.have.length.above(20)
    await place.edit(kinds.session, `session-${id}`, { spec: { user: 'x' } })
    await eventually(async () => expect(await place.events(object)).to.have.length(1))
    const everything = JSON.stringify([
      await place.shown(kinds.session),
      await place.shown(kinds.template),
      await place.events(object),
    ])
    expect(everything).to.include(id)
    expect(everything).to.not.include(SECRET)
    expect(everything).to.not.include(Buffer.from(SECRET).toString('base64'))
    expect(everything).to.not.include(token)
  })

  it('fights with nobody: what is edited again and again is written at most once a second', async () => {
    const { id } = await start()
    const path = `${pathOf(kinds.session, place.namespace.name, `session-${id}`)}`
    const before = agent.platform.calls()
    const until = performance.now() + 6_000
    for (let turn = 0; performance.now() < until; turn += 1)
      await place.edit(kinds.session, `session-${id}`, { spec: { user: `turn ${turn}` } })
    // Each put back is a write and, at first, an event.
    expect(agent.platform.calls() - before).to.be.below(14)
    await eventually(
      async () => expect((await cluster.api.call<Shown>({ method: 'GET', path })).spec.user).to.equal('user-1'),
      { within: PUT_BACK_MS },
    )
  })
})

describe('a projection that cannot be written', function () {
  this.timeout(120_000)
  before(needsKubernetes)
  it('hurts no session, says once what to do, and is there as soon as it can be', async () => {
    const cluster = await kubernetesCluster()
    const place = await projectionPlace(cluster)
    try {
      const real = connect(cluster.kubeconfig)
      let installed = false
      /** As a cluster without the kinds answers: of a group that it does not know. */
      const transport: Transport = {
        ...real,
        send: (asked) =>
          real.send(
            installed
              ? asked
              : { ...asked, path: asked.path.replace('/apis/streamspace.io/', '/apis/absent.example/') },
          ),
      }
      const agent = await place.agent({}, transport)
      const id = aSessionId()
      const observed = observedOf(await agent.platform.apply(target(id, server), context))
      expect(observed).to.include({ status: 'running' })
      const complaints = () => agent.said.filter((text) => text.includes('cannot be shown'))
      await eventually(() => expect(complaints()).to.have.length(1))
      expect(complaints()[0]).to.include('kubectl apply -f agents/kubernetes/manifests/crds.yaml')
      installed = true
      await eventually(async () => expect((await place.session(id))?.status).to.include({ status: 'running' }))
      expect(complaints()).to.have.length(1)
      await agent.platform.apply(target(id, server, { generation: 2, state: 'deleted' }), context)
    } finally {
      await place.close()
    }
  })
})

describe('a thousand sessions in the projection', function () {
  this.timeout(240_000)
  before(needsKubernetes)

  const SESSIONS = 1_000

  const resting = (id: ReturnType<typeof aSessionId>): V1ConfigMap => {
    const { desired } = target(id, server, { state: 'stopped' })
    const record: SessionRecord = {
      version: 1,
      generation: 2,
      desired: withoutEnvironment(desired),
      settled: true,
      phase: 'down',
      start: 1,
      restarts: 0,
      forgiven: 0,
      counted: {},
      address: null,
      observed: { status: 'stopped', reason: 'by_request', message: null, restarts: 0 },
    }
    return anchorOf(id, 'agent-a', record)
  }

  it('are two writes each, and none for a new agent that finds them as they should be', async () => {
    const cluster = await kubernetesCluster()
    const place = await projectionPlace(cluster)
    try {
      const ids = Array.from({ length: SESSIONS }, aSessionId)
      await Promise.all(
        ids.map((id) =>
          cluster.api.call({
            method: 'POST',
            path: pathOf(kinds.configMap, place.namespace.name),
            body: JSON.stringify(resting(id)),
          }),
        ),
      )
      const first = await place.agent()
      const began = performance.now()
      // Looked at only then: listing a thousand again and again is more work than writing them.
      await eventually(() => expect(first.platform.calls()).to.be.above(2 * SESSIONS), { within: 150_000 })
      const tookMs = performance.now() - began
      await eventually(async () => {
        const shown = await place.shown(kinds.session)
        expect(shown.filter(({ status }) => status?.status === 'stopped')).to.have.length(SESSIONS)
      })
      const [template] = await eventually(async () => {
        const all = await place.shown(kinds.template)
        expect(all[0]?.status?.sessions).to.equal(SESSIONS)
        return all
      })
      expect(template?.status?.versions).to.deep.equal([1])
      const written = first.platform.calls()
      // Two a session, those of its template, and the lists.
      expect(written).to.be.below(2 * SESSIONS + 40)
      await first.platform.close()

      const second = await place.agent()
      const id = ids[7]
      await place.edit(kinds.session, `session-${id}`, { spec: { user: 'x' } })
      await eventually(async () => expect((await place.session(id ?? ''))?.spec.user).to.equal('user-1'), {
        within: PUT_BACK_MS,
      })
      const found = second.platform.calls()
      expect(found).to.be.below(30)
      console.log(
        `      ${SESSIONS} sessions: ${written} requests in ${Math.round(tookMs / 1000)} s; by a new agent ${found}`,
      )
    } finally {
      await place.close()
    }
  })
})

import { expect } from 'chai'
import { ApiError } from '../../../agents/kubernetes/api.ts'
import { kinds } from '../../../agents/kubernetes/kinds.ts'
import { databaseStatus } from '../../../agents/kubernetes/projection/database-words.ts'
import { afterWrite, type Entry, judge, sentOf } from '../../../agents/kubernetes/projection/judge.ts'
import { type Content, fieldsThatDiffer, type View, viewOf } from '../../../agents/kubernetes/projection/object.ts'
import { createPace, createRation, putBackMessage } from '../../../agents/kubernetes/projection/put-back.ts'
import { createQueue } from '../../../agents/kubernetes/projection/queue.ts'
import { sessionObjectOf, withoutToken } from '../../../agents/kubernetes/projection/session-object.ts'
import {
  createTemplateUses,
  templateName,
  templateObjectOf,
} from '../../../agents/kubernetes/projection/template-object.ts'
import { createTrouble } from '../../../agents/kubernetes/projection/trouble.ts'
import { type SessionRecord, withoutEnvironment } from '../../../agents/kubernetes/record.ts'
import { type Life, lifeOf } from '../../../agents/kubernetes/session-life.ts'
import type { Desired, WireObserved } from '../../../agents/protocol.ts'
import { observe } from '../../../domain/session/observe.ts'
import { reportOf } from '../../../domain/session/report.ts'
import { observedStatuses } from '../../../domain/session/words.ts'
import { aSession, heard } from '../../support/a-session.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, target } from '../../support/process-agent.ts'

const now = () => new Date('2030-01-02T03:04:05.678Z')

const SECRET = 'marked-secret'

const lifeWith = (record: Partial<SessionRecord>, observed: WireObserved, more: Partial<Desired> = {}): Life => {
  const life = lifeOf(aSessionId())
  const spec = {
    container: { image: 'busybox:1', env: { A: SECRET }, args: [SECRET] },
    env: { B: SECRET },
    ports: [{ name: 'http', port: 80 }],
  }
  const { desired } = target(life.sessionId, spec as never, more)
  life.anchor = {
    seen: { uid: 'anchor-uid', resourceVersion: '5' },
    going: false,
    agent: 'agent-1',
    damaged: false,
    record: {
      version: 1,
      generation: 3,
      desired: withoutEnvironment(desired),
      settled: true,
      phase: 'up',
      start: 1,
      restarts: 2,
      forgiven: 0,
      counted: {},
      address: null,
      observed,
      ...record,
    },
  }
  life.observed = observed
  return life
}

const running: WireObserved = {
  status: 'running',
  reason: null,
  message: null,
  lastOutput: SECRET,
  restarts: 2,
  node: 'node-1',
  endpoint: { url: `http://10.0.0.1:80/?token=${SECRET}`, host: '10.0.0.1', port: 80, protocol: 'http' },
}

const objectOf = (life: Life, before: Content | null = null) => {
  const object = sessionObjectOf(life, 'agent-a', before, now)
  if (object === null || object === 'leave') expect.fail(`it is ${object}`)
  return object
}

describe('a session as an object of the cluster', () => {
  it('is named and owned as its other objects are, and says what is asked and what is', () => {
    const life = lifeWith({}, running, { name: 'my desktop', template: { name: 'desktop', version: 4 } })
    const { name, content } = objectOf(life)
    expect(name).to.equal(`session-${life.sessionId}`)
    expect(content.owner).to.equal('anchor-uid')
    expect(content.spec).to.deep.equal({
      id: life.sessionId,
      name: 'my desktop',
      org: 'org-a',
      user: 'user-1',
      template: { name: 'desktop', version: 4 },
      desiredState: 'running',
      generation: 3,
      persistentHome: true,
      resources: { cpuMillis: 100, memoryMib: 256 },
    })
    expect(content.status).to.deep.equal({
      status: 'running',
      ready: true,
      endpoint: { url: 'http://10.0.0.1/', host: '10.0.0.1', port: 80, protocol: 'http' },
      node: 'node-1',
      restarts: 2,
      observedGeneration: 3,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Running',
          observedGeneration: 3,
          lastTransitionTime: '2030-01-02T03:04:05Z',
        },
      ],
    })
    expect(JSON.stringify(content)).to.not.include(SECRET)
  })

  it('keeps the time of a condition that has not changed', () => {
    const before = objectOf(lifeWith({}, running)).content
    const later = () => new Date('2031-01-01T00:00:00Z')
    const timeOf = (observed: WireObserved) =>
      sessionObjectOf(lifeWith({}, observed), 'agent-a', before, later) as { content: Content }
    const condition = ({ content }: { content: Content }) =>
      (content.status.conditions as { lastTransitionTime: string }[])[0]?.lastTransitionTime
    expect(condition(timeOf(running))).to.equal('2030-01-02T03:04:05Z')
    expect(condition(timeOf({ status: 'failed', reason: 'evicted' }))).to.equal('2031-01-01T00:00:00Z')
  })

  it('is not made of one that is being deleted, and nothing of one that is gone', () => {
    const life = lifeWith({}, running)
    life.anchor = { ...(life.anchor as NonNullable<Life['anchor']>), going: true }
    const object = objectOf(life)
    expect(object.mayMake).to.equal(false)
    expect(object.content.status).to.include({ status: 'deleting', ready: false }).and.not.have.property('endpoint')
    expect(object.content.spec).to.include({ desiredState: 'deleted' })
    life.anchor = null
    expect(sessionObjectOf(life, 'agent-a', null, now)).to.equal(null)
    expect(sessionObjectOf(undefined, 'agent-a', null, now)).to.equal(null)
  })

  it('is left as it is while nothing is known of it', () => {
    const unread = lifeWith({}, running)
    unread.anchor = { ...(unread.anchor as NonNullable<Life['anchor']>), record: null }
    expect(sessionObjectOf(unread, 'agent-a', null, now)).to.equal('leave')
    const unseen = lifeWith({}, running)
    unseen.observed = lifeOf(unseen.sessionId).observed
    expect(sessionObjectOf(unseen, 'agent-a', null, now)).to.equal('leave')
  })

  it('has URLs without what may be a token, and none that cannot be read', () => {
    const urlOf = (url: string) => withoutToken({ url, host: 'h', port: 1, protocol: 'tcp' }).url
    expect(urlOf(`https://user:${SECRET}@a.example/path?token=${SECRET}#${SECRET}`)).to.equal('https://a.example/path')
    expect(urlOf(`tcp://10.0.0.1:5900?x=${SECRET}`)).to.equal('tcp://10.0.0.1:5900')
    expect(urlOf(`vnc://${SECRET}@[::1]:5900`)).to.equal('vnc://[::1]:5900')
    expect(urlOf(SECRET)).to.equal(undefined)
  })
})

describe('how a session is called in the cluster', () => {
  const reasons = [null, 'by_request', 'evicted', 'restored', 'restarting', 'pulling_image', 'no-word-of-ours']

  it('is what the database calls it after the same report', () => {
    for (const desiredState of ['running', 'stopped', 'hibernated'] as const)
      for (const status of observedStatuses)
        for (const reason of reasons)
          for (const message of [null, 'a message']) {
            const isWay = status === 'starting' || status === 'running'
            // Of what is to rest the database does not say that it runs: it says that it is on its way.
            if (desiredState !== 'running' && isWay) continue
            const before = aSession({ desiredState, status: desiredState === 'running' ? 'scheduling' : 'stopping' })
            const outcome = observe(before, reportOf(before.generation, { status, reason, message }), heard())
            if (outcome.kind !== 'decided') expect.fail(outcome.kind)
            const { session } = outcome.decision
            const said = databaseStatus({
              desiredState,
              settled: true,
              going: false,
              observed: { status, reason, message },
            })
            // Which of the two words for rest it is follows what was asked, and an agent of this kind says that one.
            const rests = said.status === 'stopped' || said.status === 'hibernated'
            if (!(desiredState !== 'running' && rests)) expect(said.status).to.equal(session.status)
            expect(said.reason, `${desiredState} ${status} ${reason}`).to.equal(session.statusReason)
            expect(said.message).to.equal(session.statusMessage)
          }
  })

  it('says what is on its way until it is so', () => {
    const onTheWay = (desiredState: Desired['state'], observed: WireObserved) =>
      databaseStatus({ desiredState, settled: false, going: false, observed })
    expect(onTheWay('stopped', running)).to.deep.equal({ status: 'stopping', reason: null, message: null })
    expect(onTheWay('hibernated', running)).to.include({ status: 'hibernating' })
    expect(onTheWay('deleted', running)).to.include({ status: 'deleting' })
    expect(onTheWay('running', { status: 'failed', reason: 'evicted', message: 'old' })).to.deep.equal({
      status: 'scheduling',
      reason: 'starting',
      message: null,
    })
    expect(onTheWay('running', { status: 'starting', reason: 'pulling_image', message: '10 %' })).to.deep.equal({
      status: 'scheduling',
      reason: 'pulling_image',
      message: '10 %',
    })
  })
})

describe('templates as objects of the cluster', () => {
  const using = (version: number, more: Partial<Desired> = {}) =>
    lifeWith({}, running, { template: { name: 'desktop', version }, ...more })

  it('are one for a name and an org, of the highest version in use, without any environment', () => {
    const uses = createTemplateUses('agent-a')
    const [first, second, others] = [using(2), using(7), using(1, { orgId: 'org-b' })]
    const [name] = uses.changed(first.sessionId, first)
    expect(uses.changed(second.sessionId, second)).to.deep.equal([name])
    expect(uses.changed(others.sessionId, others)).to.not.deep.equal([name])
    const object = templateObjectOf(name ?? '', uses.of(name ?? ''), 'agent-a')
    expect(object?.content.spec).to.deep.equal({
      name: 'desktop',
      org: 'org-a',
      version: 7,
      image: 'busybox:1',
      ports: [{ name: 'http', port: 80, protocol: 'tcp' }],
      resources: { cpuMillis: 100, memoryMib: 256 },
    })
    expect(object?.content.status).to.deep.equal({ sessions: 2, versions: [2, 7] })
    expect(JSON.stringify(object)).to.not.include(SECRET)
  })

  it('go with the last session of them', () => {
    const uses = createTemplateUses('agent-a')
    const life = using(1)
    const [name = ''] = uses.changed(life.sessionId, life)
    expect(uses.changed(life.sessionId, life), 'nothing new').to.deep.equal([])
    expect(uses.changed(life.sessionId, undefined)).to.deep.equal([name])
    expect(templateObjectOf(name, uses.of(name), 'agent-a')).to.equal(null)
  })

  it('have names that a cluster takes, of each agent its own', () => {
    const desired = { orgId: 'org-a', template: { name: 'a'.repeat(63), version: 1 } }
    expect(templateName('agent-a', desired)).to.match(/^[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?$/)
    expect(templateName('agent-a', desired)).to.not.equal(templateName('agent-b', desired))
  })
})

describe('what is to be done about an object', () => {
  const content = (change: Partial<Content> = {}): Content => ({
    labels: { l: '1' },
    owner: 'o',
    spec: { a: 1 },
    status: { s: 1 },
    ...change,
  })
  const view = (change: Partial<View> = {}): View => ({
    uid: 'u',
    resourceVersion: '1',
    content: content(),
    editors: [],
    ...change,
  })
  const wanted = (change: Partial<Content> = {}, mayMake = true) => ({
    kind: kinds.session,
    name: 'n',
    content: content(change),
    mayMake,
  })
  const entry = (change: Partial<Entry> = {}): Entry => ({
    written: view(),
    sent: sentOf(wanted()),
    seen: view(),
    ...change,
  })
  const nothing: Entry = { written: null, sent: null, seen: null }

  it('nothing while it is as it was written, though the server left out what it does not know', () => {
    const less = view({ content: content({ spec: {} }) })
    expect(judge(entry({ written: less, seen: less }), wanted()).kind).to.equal('nothing')
  })

  it('is made where there is none, unless it is to go', () => {
    expect(judge(nothing, wanted())).to.deep.include({ kind: 'write', main: true, status: true, edit: null })
    expect(judge(nothing, wanted({}, false)).kind).to.equal('nothing')
    expect(judge(nothing, null).kind).to.equal('forget')
    expect(judge(nothing, 'leave').kind).to.equal('nothing')
  })

  it('is written by halves', () => {
    const step = (change: Partial<Content>) => judge(entry(), wanted(change))
    expect(step({ status: { s: 2 } })).to.deep.include({ kind: 'write', main: false, status: true, edit: null })
    expect(step({ spec: { a: 2 } })).to.deep.include({ kind: 'write', main: true, status: false, edit: null })
  })

  it('of an edit the edited half is written, and what it was is told', () => {
    const edited = view({ resourceVersion: '2', content: content({ spec: { a: 9, b: 1 } }), editors: ['kubectl'] })
    expect(judge(entry({ seen: edited }), wanted())).to.deep.include({
      main: true,
      status: false,
      edit: { what: 'edited', fields: ['spec.a', 'spec.b'], by: ['kubectl'] },
    })
    expect(judge(entry({ seen: null }), wanted())).to.deep.include({ kind: 'write', edit: { what: 'deleted' } })
  })

  it('an edit of the half that was not written at the same time is still seen afterwards', () => {
    const step = judge(entry(), wanted({ status: { s: 2 } }))
    if (step.kind !== 'write') expect.fail(step.kind)
    const answer = view({ resourceVersion: '3', content: content({ spec: { a: 9 }, status: { s: 2 } }) })
    const after = afterWrite(entry(), answer, step)
    expect(judge(after, wanted({ status: { s: 2 } }))).to.deep.include({ kind: 'write', main: true, status: false })
  })

  it('of what an agent before this one left: accepted, brought up to date, or told where somebody else wrote', () => {
    const found = (seen: View): Entry => ({ written: null, sent: null, seen })
    expect(judge(found(view()), wanted()).kind).to.equal('accept')
    const old = { content: content({ status: { s: 0 } }) }
    expect(judge(found(view(old)), wanted())).to.deep.include({ main: false, status: true, edit: null })
    expect(judge(found(view({ ...old, editors: ['kubectl'] })), wanted())).to.have.nested.property(
      'edit.what',
      'edited',
    )
  })

  it('is removed where nothing is wanted; what somebody else has made is told', () => {
    expect(judge(entry(), null)).to.deep.equal({ kind: 'remove', uid: 'u', edit: null })
    const made = { written: null, sent: null, seen: view({ editors: ['kubectl'] }) }
    expect(judge(made, null)).to.deep.include({ edit: { what: 'made', by: ['kubectl'] } })
  })

  it('only what is ours of an object counts', () => {
    const metadata = { name: 'n', uid: 'u', labels: { ours: '1', theirs: '2' }, annotations: { x: 'y' } }
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'y' }]
    const managedFields = [
      { manager: 'kubectl-annotate', fieldsV1: { 'f:metadata': { 'f:annotations': {} } } },
      { manager: 'kubectl-edit', fieldsV1: { 'f:spec': {} } },
      { manager: 'streamspace-projection', fieldsV1: { 'f:spec': {} } },
    ]
    const seen = viewOf({ metadata: { ...metadata, ownerReferences, managedFields } }, ['ours'])
    expect(seen.content).to.deep.equal({ labels: { ours: '1' }, owner: null, spec: {}, status: {} })
    expect(seen.editors).to.deep.equal(['kubectl-edit'])
    expect(
      fieldsThatDiffer(content({ status: { x: { y: [1] } } }), content({ owner: 'p', status: { x: { y: [2] } } })),
    ).to.deep.equal(['metadata.ownerReferences', 'status.x.y'])
  })
})

describe('how people are told of what was put back', () => {
  it('in a sentence, however many fields there were', () => {
    const fields = Array.from({ length: 30 }, (_, index) => `spec.f${index}`)
    const message = putBackMessage({ what: 'edited', fields, by: ['kubectl'] }, 3)
    expect(message).to.include('spec.f0, spec.f1').and.include('22 more were changed by kubectl and put back (3 more')
    expect(message).to.include('the database is the truth')
  })

  it('a few times at once, then now and then with how many there were', () => {
    const ration = createRation()
    const taken = Array.from({ length: 12 }, (_, index) => ration.take(100_000 + index * 1_000))
    expect(taken.slice(0, 5)).to.deep.equal([0, 0, 0, 0, 0])
    expect(taken.slice(5)).to.deep.equal(Array(7).fill(null))
    expect(ration.take(200_000)).to.equal(7)
  })

  it('of a fight less and less often, never later than was promised', () => {
    const pace = createPace()
    const fought = Array.from({ length: 5 }, (_, index) => pace.written(index * 1_000, true))
    expect(fought).to.deep.equal([1_000, 2_000, 4_000, 4_000, 4_000])
    expect(pace.written(6_000, false)).to.equal(1_000)
    expect(pace.written(60_000, true)).to.equal(1_000)
  })
})

describe('the queue of objects', () => {
  it('has each once, few at a time, and once more what was marked while it was under way', async () => {
    const ends: (() => void)[] = []
    const begun: string[] = []
    const queue = createQueue(2, (name) => {
      begun.push(name)
      return new Promise((resolve) => ends.push(resolve))
    })
    for (const name of ['a', 'a', 'b', 'c', 'a']) queue.mark(name, 0)
    await eventually(() => expect(begun).to.deep.equal(['a', 'b']))
    queue.mark('a', 0)
    queue.mark('a', 0)
    for (const end of ends.splice(0)) end()
    await eventually(() => expect([...begun].sort()).to.deep.equal(['a', 'a', 'b', 'c']))
    for (const end of ends.splice(0)) end()
    await queue.close()
  })

  it('is closed though something under way never ends', async () => {
    let begun = false
    const queue = createQueue(1, () => {
      begun = true
      return new Promise(() => {})
    })
    queue.mark('a', 0)
    await eventually(() => expect(begun).to.equal(true))
    await queue.close()
    queue.mark('b', 0)
  })

  it('begins nothing while it is paused, and goes on by itself', async () => {
    const begun: string[] = []
    const queue = createQueue(2, async (name) => void begun.push(name))
    const since = performance.now()
    queue.pause(60)
    queue.mark('a', 0)
    await eventually(() => expect(begun).to.deep.equal(['a']))
    expect(performance.now() - since).to.be.above(50)
    await queue.close()
  })
})

describe('trouble with the projection', () => {
  it('is said once for all that it keeps from being shown, with what to do, and waits longer and longer', () => {
    const said: string[] = []
    const write = (details: object, message: string): void => void said.push(`${message} ${JSON.stringify(details)}`)
    const trouble = createTrouble({ debug: write, info: write, warn: write, error: write })
    const missing = new ApiError('the server could not find the requested resource', 404, 'NotFound')
    const waits = [1, 2, 3, 4, 5, 6, 7, 8].map(() => trouble.happened('sessions', missing))
    trouble.happened('templates', missing)
    expect(waits).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    expect(said).to.have.length(1)
    expect(said[0]).to.include('kubectl apply -f agents/kubernetes/manifests/crds.yaml')
    trouble.happened('events', new ApiError('events is forbidden', 403, 'Forbidden'))
    expect(said[1]).to.include('events is forbidden').and.include('role.yaml')
    for (const where of ['sessions', 'templates', 'events', 'events']) trouble.over(where)
    expect(said).to.have.length(3)
    expect(said[2]).to.include('again')
  })
})
